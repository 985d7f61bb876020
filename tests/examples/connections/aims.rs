//! The measurements with their aims.

use std::time::Duration;

use super::measure::millis;

/// A row of the table.
pub(crate) struct Row {
    what: String,
    measured: String,
    aim: String,
    is_met: Option<bool>,
}

/// A time that has to be at most the aim.
pub(crate) fn within(what: &str, measured: Duration, aim: Duration) -> Row {
    Row {
        what: what.to_owned(),
        measured: millis(measured),
        aim: format!("≤ {} ms", aim.as_millis()),
        is_met: Some(measured <= aim),
    }
}

/// A figure that has to be at most the aim.
pub(crate) fn at_most(what: &str, measured: f64, aim: f64, unit: &str) -> Row {
    Row {
        what: what.to_owned(),
        measured: format!("{measured:.2} {unit}"),
        aim: format!("≤ {aim} {unit}"),
        is_met: Some(measured <= aim),
    }
}

/// A number a second that has to be at least the aim.
pub(crate) fn at_least(what: &str, measured: f64, aim: f64) -> Row {
    Row {
        what: what.to_owned(),
        measured: format!("{measured:.0}"),
        aim: format!("≥ {aim}"),
        is_met: Some(measured >= aim),
    }
}

/// A figure without an aim.
pub(crate) fn noted(what: &str, measured: String) -> Row {
    Row {
        what: what.to_owned(),
        measured,
        aim: String::new(),
        is_met: None,
    }
}

/// Prints the rows.
pub(crate) fn print(rows: &[Row]) {
    println!("| | measured | aim | |\n|---|---|---|---|");
    for row in rows {
        let Row {
            what, measured, aim, ..
        } = row;
        let verdict = match row.is_met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        println!("| {what} | {measured} | {aim} | {verdict} |");
    }
}
