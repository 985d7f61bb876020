//! Human-readable timestamps (RFC 3339, UTC).

use tessera::Timestamp;

const SECONDS_A_DAY: u64 = 86_400;

/// Formats a timestamp as in `2026-01-01T00:00:00Z`.
pub(crate) fn show(moment: Timestamp) -> String {
    let seconds = moment.as_millis() / 1000;
    let (year, month, day) = date(moment);
    let time = seconds % SECONDS_A_DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        time / 3600,
        time / 60 % 60,
        time % 60
    )
}

/// Year, month and day in UTC.
pub(crate) fn date(moment: Timestamp) -> (u64, u64, u64) {
    // Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day comes last.
    let days = moment.as_millis() / 1000 / SECONDS_A_DAY + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(show(Timestamp::from_millis(seconds * 1000)), text);
        }
    }
}
