//! Durations in variables: `500ms`, `10s`, `30m`, `24h`, `7d`.

/// Parses a whole number and a unit (ms, s, m, h or d). Returns milliseconds, or a message for the operator.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
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
    Ok(millis)
}
