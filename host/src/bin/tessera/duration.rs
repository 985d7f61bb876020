//! Durations as flags take them: `500ms`, `10s`, `30m`, `24h`, `7d`.

use std::time::Duration;

/// Reads one number and one unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let millis_each: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err("write a unit after the number: ms, s, m, h or d, as in 30m".into()),
        _ => return Err("write a whole number and a unit, ms, s, m, h or d, as in 30m".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a whole number before the unit, as in 30m".to_owned())?;
    let millis = number
        .checked_mul(millis_each)
        .ok_or("it is longer than time goes")?;
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("30m", 1_800_000),
            ("24h", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for refused in [
            "",
            "30",
            "m",
            "1.5h",
            "-1s",
            "1h30m",
            "30 m",
            "18446744073709551615d",
            "1w",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
