//! What was measured, divided by what it is held against, beside what was aimed at.

use std::path::PathBuf;

/// Ours, the peer's, and how many times as long ours may take; without an aim, how many times as long it takes is said.
const QUOTIENTS: [(&str, &str, Option<f64>); 9] = [
    ("open + get, remembered", "signed cookie + load + get", Some(0.3)),
    (
        "open + get, not remembered",
        "signed cookie + load + get",
        Some(2.5),
    ),
    (
        "open + set + save",
        "signed cookie + load + insert + save",
        Some(1.8),
    ),
    ("open + get, 1 KiB", "load + get, 1 KiB", None),
    ("open + get, 8 KiB", "load + get, 8 KiB", None),
    ("open + get, 64 KiB", "load + get, 64 KiB", None),
    ("open + set + save, 1 KiB", "load + insert + save, 1 KiB", None),
    ("open + set + save, 8 KiB", "load + insert + save, 8 KiB", None),
    ("open + set + save, 64 KiB", "load + insert + save, 64 KiB", None),
];

/// Prints each quotient of which both sides were measured, in this run or before.
pub fn print() {
    println!("\n| Tessera | | `tower-sessions` | | quotient | aim | |\n|---|---|---|---|---|---|---|");
    for (ours, theirs, aim) in QUOTIENTS {
        let (Some(our), Some(their)) = (median("tessera", ours), median("tower-sessions", theirs)) else {
            continue;
        };
        let quotient = our / their;
        let (aim, verdict) = match aim {
            Some(aim) if quotient <= aim => (format!("≤ {aim}"), "met"),
            Some(aim) => (format!("≤ {aim}"), "missed"),
            None => (String::new(), ""),
        };
        let micros = |nanos: f64| nanos / 1000.0;
        println!(
            "| {ours} | {:.2} µs | {theirs} | {:.2} µs | {quotient:.2} | {aim} | {verdict} |",
            micros(our),
            micros(their)
        );
    }
}

/// The median that Criterion has written down, in nanoseconds.
fn median(group: &str, function: &str) -> Option<f64> {
    let home = PathBuf::from(std::env::var_os("CRITERION_HOME")?);
    let file = home.join(group).join(function).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}
