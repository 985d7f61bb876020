//! What the contract names and no scenario shows.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{folder, scenarios};

/// Error kinds that no scenario can show, and why.
const NOT_SHOWN: [(&str, &str); 1] = [(
    "pending",
    "the driver takes it for itself: it repeats the call until there is another answer",
)];

fn contract() -> String {
    let path = folder().join("../../wit/policy.wit");
    std::fs::read_to_string(path).expect("the contract is beside the tests")
}

/// The names in a block of the contract, such as `record policy`.
fn names(wit: &str, block: &str, separator: &str) -> BTreeSet<String> {
    let start = wit.find(&format!("{block} {{")).expect("the block is there");
    let body = wit[start..].split_once('{').expect("it has a body").1;
    let body = body.split("\n    }").next().expect("it ends");
    let lines = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//") && !line.is_empty());
    lines
        .filter_map(|line| line.split(separator).next())
        .map(|name| name.trim_end_matches(',').to_owned())
        .collect()
}

/// Calls `visit` with every object of a JSON tree.
fn each_object(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| each_object(value, visit)),
        Value::Object(members) => {
            visit(members);
            members.values().for_each(|value| each_object(value, visit));
        }
        _ => {}
    }
}

#[test]
fn every_policy_field_is_set_by_a_scenario() {
    let mut set = BTreeSet::new();
    for scenario in scenarios() {
        set.extend(scenario.policy.keys().cloned());
        for step in &scenario.steps {
            each_object(step, &mut |members| {
                let policy = members.get("policy").and_then(Value::as_object);
                set.extend(policy.into_iter().flat_map(|policy| policy.keys().cloned()));
            });
        }
    }
    let fields = names(&contract(), "record policy", ":");
    assert!(
        fields.len() > 20 && fields.contains("idle-timeout-ms"),
        "{fields:?}"
    );
    assert_eq!(fields.difference(&set).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_error_kind_is_expected_by_a_scenario() {
    let mut expected = BTreeSet::new();
    for scenario in scenarios() {
        for step in &scenario.steps {
            each_object(step, &mut |members| {
                let kind = members
                    .get("expect")
                    .and_then(|expect| expect.get("error"))
                    .and_then(Value::as_str);
                expected.extend(kind.map(str::to_owned));
            });
        }
    }
    let kinds = names(&contract(), "enum error-kind", ",");
    assert!(kinds.len() > 30 && kinds.contains("other"), "{kinds:?}");
    let unknown: Vec<_> = expected.difference(&kinds).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no error kinds");
    let not_shown: BTreeSet<String> = NOT_SHOWN.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    let missing: Vec<_> = kinds
        .difference(&expected)
        .filter(|kind| !not_shown.contains(*kind))
        .collect();
    assert!(missing.is_empty(), "no scenario expects {missing:?}");
    assert!(
        expected.is_disjoint(&not_shown),
        "a scenario does show {not_shown:?}"
    );
}

#[test]
fn every_bound_of_the_policy_has_both_its_sides() {
    let mut refused = BTreeSet::new();
    let mut accepted = BTreeSet::new();
    for scenario in scenarios() {
        for step in &scenario.steps {
            each_object(step, &mut |members| {
                if members.get("do").is_none_or(|what| what != "configure") {
                    return;
                }
                match members
                    .get("expect")
                    .and_then(|expect| expect.get("about"))
                    .and_then(Value::as_str)
                {
                    Some(about) => drop(refused.insert(about.to_owned())),
                    None => {
                        let policy = members.get("policy").and_then(Value::as_object);
                        accepted.extend(policy.into_iter().flat_map(|policy| policy.keys().cloned()));
                    }
                }
            });
        }
    }
    // A choice among cases has no bounds.
    let fields: Vec<_> = names(&contract(), "record policy", ":")
        .into_iter()
        .filter(|field| !field.ends_with("-rule") && field != "token-format")
        .filter(|field| !refused.contains(field) || !accepted.contains(field))
        .collect();
    assert!(
        fields.is_empty(),
        "{fields:?} are not both accepted at a bound and refused beyond it"
    );
}
