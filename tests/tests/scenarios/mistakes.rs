//! A runner that saw nothing would pass everything: what is wrong in a scenario is told, with its place.

use tessera_tests::scenario::{self, Pace};

use super::memory;

/// Runs one scenario of these steps, and answers why it failed.
async fn failure(steps: &str) -> String {
    let text = format!("[{{\"name\": \"n\", \"steps\": [{steps}]}}]");
    let scenarios = match scenario::parse("f.json", &text) {
        Ok(scenarios) => scenarios,
        Err(error) => return error,
    };
    let ran = scenario::run(&scenarios[0], memory(), Pace::Own).await;
    ran.expect_err("the scenario is wrong")
}

const SAVED: &str = r#"{"do": "create", "as": "s"}, {"do": "save", "on": "s", "token-as": "t"}"#;

#[tokio::test]
async fn what_a_scenario_did_not_expect_is_told_with_file_name_and_step() {
    let cases = [
        // Another answer, another error, an error that did not come, one that was not expected.
        (
            r#"{"do": "details", "on": "s", "expect": {"status": "draft"}}"#,
            "status: expected \"draft\", got \"live\"",
        ),
        (
            r#"{"do": "get", "on": "s", "name": "a", "expect": {"integer": "1"}}"#,
            "got {\"error\":\"missing\"}",
        ),
        (
            r#"{"do": "get", "on": "s", "name": "a", "expect": {"error": "closed"}}"#,
            "expected \"closed\"",
        ),
        (
            r#"{"do": "open", "token": "$t", "expect": {"error": "missing"}}"#,
            "expected the error missing",
        ),
        (r#"{"do": "open", "token": "x"}"#, "token-malformed"),
        (
            r#"{"do": "entries", "on": "s", "expect": {"a": {"integer": "1"}}}"#,
            "got {}",
        ),
        (
            r#"{"do": "save", "on": "s", "token-as": "u"}"#,
            "no token was issued",
        ),
        (
            r#"{"do": "list", "subject": "a", "expect": [{}]}"#,
            "expected 1 items, got 0",
        ),
        // Other questions than were said, and what was to happen at questions that nobody asked.
        (
            r#"{"do": "open", "token": "$t", "questions": []}"#,
            "got [\"get\"]",
        ),
        (
            r#"{"do": "save", "on": "s", "questions": ["replace"]}"#,
            "expected the questions",
        ),
        (
            r#"{"do": "open", "token": "$t", "fault": {"op": "get", "how": "missing", "nth": 2}}"#,
            "was never met",
        ),
        (
            r#"{"do": "open", "token": "$t", "meanwhile": {"before": "insert", "steps": []}}"#,
            "was never called",
        ),
        // A step within a step.
        (
            r#"{"do": "open", "token": "$t", "meanwhile": {"before": "get", "steps": [{"do": "open", "token": "x"}]}}"#,
            "meanwhile: step 1 (open )",
        ),
        (
            r#"{"do": "repeat", "times": 2, "steps": [{"do": "open", "token": "x"}]}"#,
            "time 0: step 1",
        ),
        // Words that mean nothing.
        (r#"{"do": "jump", "on": "s"}"#, "unknown step \"jump\""),
        (r#"{"do": "save", "on": "s", "to": "x"}"#, "unknown member \"to\""),
        (r#"{"do": "save", "on": "q"}"#, "unknown session \"q\""),
        (r#"{"do": "open", "token": "$q"}"#, "unknown variable $q"),
        (
            r#"{"do": "open", "token": "$t", "fault": {"op": "get", "how": "sulking"}}"#,
            "unknown fault",
        ),
        (
            r#"{"do": "set", "on": "s", "name": "a", "value": 1}"#,
            "not a value",
        ),
        (
            r#"{"do": "configure", "as": "h", "policy": {"idle": 1}}"#,
            "idle is not a field of a policy",
        ),
    ];
    for (step, told) in cases {
        let failure = failure(&format!("{SAVED}, {step}")).await;
        assert!(
            failure.starts_with("f.json: \"n\": step 3 ("),
            "{step}: {failure}"
        );
        assert!(failure.contains(told), "{step}: {failure}");
    }
}

#[test]
fn a_file_that_is_no_list_of_scenarios_is_refused() {
    for (text, told) in [
        ("{}", "is not a list"),
        ("[{\"steps\": []}]", "\"name\" is missing"),
        ("[{\"name\": \"n\"}]", "\"steps\" is missing"),
        (
            "[{\"name\": \"n\", \"steps\": [], \"step\": []}]",
            "unknown member \"step\"",
        ),
        (
            "[{\"name\": \"n\", \"steps\": []}, {\"name\": \"n\", \"steps\": []}]",
            "duplicate name",
        ),
    ] {
        let error = scenario::parse("f.json", text).expect_err("refused");
        assert!(error.contains(told), "{text}: {error}");
    }
}
