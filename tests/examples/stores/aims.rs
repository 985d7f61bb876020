//! Compares quotients of the measurements with their aims.

use super::measure::Measured;
use super::{FLOOR, PEER, Row};

/// The measurements of one store with one number of concurrent callers.
pub(crate) struct Compared {
    pub(crate) subject: &'static str,
    pub(crate) at_once: usize,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Copy)]
enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

/// A quotient with its aim.
struct Quotient {
    subject: &'static str,
    at_once: usize,
    /// Whether saves are compared, instead of opens.
    is_save: bool,
    beside: &'static str,
    aim: Aim,
}

const fn at_most(subject: &'static str, is_save: bool, aim: f64) -> Quotient {
    Quotient {
        subject,
        at_once: 1,
        is_save,
        beside: FLOOR,
        aim: Aim::AtMost(aim),
    }
}

const fn opens(at_once: usize, beside: &'static str, aim: f64) -> Quotient {
    Quotient {
        subject: "Redis",
        at_once,
        is_save: false,
        beside,
        aim: Aim::AtLeast(aim),
    }
}

/// The quotients: of latencies (at most), or of calls per second (at least).
const QUOTIENTS: [Quotient; 7] = [
    at_most("Redis", false, 1.15),
    at_most("Redis", true, 1.4),
    at_most("PostgreSQL", false, 1.1),
    opens(64, FLOOR, 0.85),
    opens(1024, FLOOR, 0.85),
    opens(64, PEER, 0.8),
    opens(1024, PEER, 0.8),
];

/// Prints each measured quotient with its aim.
pub(crate) fn print(all: &[Compared]) {
    println!("\n| quotient | measured | aim | |\n|---|---|---|---|");
    for quotient in &QUOTIENTS {
        let Quotient {
            subject,
            at_once,
            is_save,
            beside,
            aim,
        } = *quotient;
        let found = all
            .iter()
            .find(|compared| compared.subject == subject && compared.at_once == at_once);
        let of = |name: &str| {
            let (_, measured) = found?.rows.iter().find(|(row, _)| *row == name)?;
            Some(&measured[usize::from(is_save)])
        };
        let (Some(ours), Some(theirs)) = (of(subject), of(beside)) else {
            continue;
        };
        let part: fn(&Measured) -> f64 = match aim {
            Aim::AtMost(_) => |measured| measured.median,
            Aim::AtLeast(_) => |measured| measured.per_second,
        };
        let measured = part(ours) / part(theirs);
        let (sign, aimed, is_met) = match aim {
            Aim::AtMost(aim) => ("≤", aim, measured <= aim),
            Aim::AtLeast(aim) => ("≥", aim, measured >= aim),
        };
        let what = match (is_save, aim) {
            (false, Aim::AtMost(_)) => "an open, half of the calls",
            (false, Aim::AtLeast(_)) => "opens a second",
            (true, _) => "a save, half of the calls",
        };
        let verdict = if is_met { "met" } else { "missed" };
        println!(
            "| {subject}, {at_once} at once: {what} ÷ {beside} | {measured:.2} | {sign} {aimed} | {verdict} |"
        );
    }
}
