//! Compares actual results with expected ones.

use serde_json::Value;

/// How a step's result is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Additional members are allowed.
    Members,
    /// As `Members`, with lists in any order.
    AnyOrder,
    /// The values must be equal.
    Exact,
}

/// Returns a description of the first difference, or `None` if there is none.
pub(super) fn difference(expected: &Value, actual: &Value, how: Match) -> Option<String> {
    let told = || Some(format!("expected {expected}, got {actual}"));
    match (expected, actual) {
        _ if how == Match::Exact => (expected != actual).then(told).flatten(),
        (Value::Object(expected), Value::Object(actual)) => expected.iter().find_map(|(name, expected)| {
            let actual = actual.get(name).unwrap_or(&Value::Null);
            difference(expected, actual, Match::Members).map(|what| format!("{name}: {what}"))
        }),
        (Value::Array(expected), Value::Array(actual)) if expected.len() != actual.len() => Some(format!(
            "expected {} items, got {}: {actual:?}",
            expected.len(),
            actual.len()
        )),
        (Value::Array(expected), Value::Array(actual)) if how == Match::AnyOrder => {
            let mut left: Vec<&Value> = actual.iter().collect();
            expected.iter().find_map(|expected| {
                let fits = |actual: &&Value| difference(expected, actual, Match::Members).is_none();
                match left.iter().position(fits) {
                    Some(place) => {
                        left.remove(place);
                        None
                    }
                    None => Some(format!("expected an item {expected}, got {actual:?}")),
                }
            })
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected
                .iter()
                .zip(actual)
                .enumerate()
                .find_map(|(place, (expected, actual))| {
                    difference(expected, actual, Match::Members).map(|what| format!("[{place}]: {what}"))
                })
        }
        _ => (expected != actual).then(told).flatten(),
    }
}
