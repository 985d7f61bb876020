//! Durations in flags: `500ms`, `10s`, `30m`, `24h`, `7d`.

use std::time::Duration;

/// Parses one number and one unit.
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
        .ok_or("the duration is too long")?;
    Ok(Duration::from_millis(millis))
}

/// Formats milliseconds as [`parse`] reads them, in the largest exact unit.
fn show(millis: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let unit = units
        .into_iter()
        .find(|(_, each)| millis != 0 && millis.is_multiple_of(*each));
    match unit {
        Some((unit, each)) => format!("{}{unit}", millis / each),
        None => format!("{millis}ms"),
    }
}

/// Replaces the numbers of a text, which are milliseconds, by durations.
pub(crate) fn in_units(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let end = from
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        shown += before;
        shown += &number.parse().map_or_else(|_| number.to_owned(), show);
        rest = after.strip_prefix(" ms").unwrap_or(after);
    }
    shown + rest
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

    #[test]
    fn milliseconds_are_shown_in_the_largest_exact_unit() {
        for (text, shown) in [
            (
                "must be 1000 to 604800000, and is 500",
                "must be 1s to 7d, and is 500ms",
            ),
            (
                "is below the store's minimum, 60000 ms",
                "is below the store's minimum, 1m",
            ),
            ("is 0", "is 0ms"),
            ("none", "none"),
            ("99999999999999999999", "99999999999999999999"),
        ] {
            assert_eq!(in_units(text), shown);
        }
        for text in ["1ms", "1s", "90s", "2h", "25h", "3d"] {
            let millis = parse(text).expect(text).as_millis();
            assert_eq!(show(u64::try_from(millis).expect("small")), text);
        }
    }
}
