//! The adapters of all languages conform, and the runner detects adapters that do not.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;

use tessera::store::MemoryStore;
use tessera_tests::adapter::process::Process;
use tessera_tests::adapter::{Manner, Replies};
use tessera_tests::conformance::{
    Cell, Kind, LANGUAGES, Language, MANNERS, Servers, cancellations, interleavings, language, scenarios,
    scenarios_over, suite,
};
use tessera_tests::scenario;

fn passes(language: &Language, what: &str, cell: Result<Cell, String>) {
    let (cell, name) = (cell.expect("the adapter runs"), language.name);
    let _ = writeln!(std::io::stderr(), "{name}, {what}: {cell}");
    let failures = cell.failures.join("\n");
    assert!(cell.failures.is_empty(), "{name}, {what}\n{failures}");
    assert!(cell.passed > 0, "{name}, {what}");
}

fn offered(cell: Result<Option<Cell>, String>) -> Result<Cell, String> {
    cell.map(|cell| cell.expect("the language has such a store"))
}

#[test]
fn all_scenarios_pass_in_every_language() {
    for language in LANGUAGES {
        for (name, manner) in MANNERS {
            let cell = scenarios(language, manner).map(|cell| cell.expect("the host offers all"));
            passes(language, name, cell);
        }
    }
}

#[test]
fn a_store_that_an_adapter_opens_passes_the_scenarios_and_the_suite() {
    let servers = Servers::default();
    for language in LANGUAGES {
        let scenarios = scenarios_over(language, &servers, Kind::Redis);
        passes(language, "scenarios over redis", offered(scenarios));
    }
    // That of the other languages takes a quarter of a minute each: `cargo xtask conformance` runs it.
    let rust = language("rust").expect("the Rust host");
    passes(rust, "suite, redis", offered(suite(rust, &servers, Kind::Redis)));
}

#[test]
fn a_store_that_is_written_in_the_language_of_an_adapter_passes_the_suite() {
    // The command runs it with all languages, and the scenarios over it.
    let python = language("python-asyncio").expect("known");
    let suite = suite(python, &Servers::default(), Kind::Own);
    passes(python, "suite, own store", offered(suite));
}

#[test]
fn six_clients_on_engines_of_an_adapter_lose_revive_and_misjudge_nothing() {
    for language in LANGUAGES {
        let (cell, report) = interleavings(language, 5_000, 7).expect("the adapter runs");
        let _ = writeln!(std::io::stderr(), "{}: {report}", language.name);
        passes(language, "interleavings", Ok(cell));
    }
}

#[test]
fn a_call_without_its_caller_ends_at_its_reads_and_goes_on_with_its_writes() {
    for language in LANGUAGES {
        passes(language, "cancellations", cancellations(language));
    }
}

/// Starts an adapter in the language of the shell.
fn shell(script: &str) -> Result<Arc<Process>, String> {
    Process::start(Command::new("sh").args(["-c", script]))
}

const HELLO: &str = r#"echo '{"type":"hello","language":"x","runtime":"y","component":"z"}';"#;

/// Runs a scenario of one step on an adapter that replies with this line to each line.
async fn failure(line: &str) -> String {
    let script = format!("{HELLO} while read line; do echo '{line}'; done");
    let process = shell(&script).expect("an adapter");
    let text = r#"[{"name": "n", "steps": [{"do": "create", "as": "s"}]}]"#;
    let scenarios = scenario::parse("f.json", text).expect("a scenario");
    let manner = Manner {
        replies: Replies::Later,
        remember: true,
    };
    let ran = scenario::run_in_process(&scenarios[0], MemoryStore::new(), &process, manner).await;
    ran.expect_err("the adapter is wrong")
}

#[tokio::test]
async fn an_adapter_that_is_wrong_fails_its_scenario_with_the_reason() {
    for (line, reason) in [
        ("no JSON", "wrote an invalid line: no JSON"),
        (r#"{"type":"hello"}"#, "wrote an invalid line"),
        (r#"{"type":"failed","id":0,"reason":"not built"}"#, "not built"),
        (
            r#"{"type":"refused","id":0,"error":{"error":"other"}}"#,
            "refuses to begin",
        ),
        (r#"{"type":"done","id":0,"result":null}"#, "does not offer"),
        (
            r#"{"type":"done","id":0,"result":{"replies":"later","remember":true}}"#,
            "a result of no step",
        ),
    ] {
        let failure = failure(line).await;
        assert!(failure.contains(reason), "{failure}");
    }
}

#[tokio::test]
async fn an_adapter_that_ends_fails_its_scenario() {
    let process = shell(&format!("{HELLO} read line")).expect("an adapter");
    let scenarios = scenario::parse("f.json", r#"[{"name": "n", "steps": []}]"#).expect("a scenario");
    let manner = Manner {
        replies: Replies::AtOnce,
        remember: false,
    };
    let ran = scenario::run_in_process(&scenarios[0], MemoryStore::new(), &process, manner).await;
    let failure = ran.expect_err("the adapter has ended");
    assert!(failure.contains("the adapter has ended"), "{failure}");
}

#[test]
fn a_program_that_is_no_adapter_is_refused() {
    for script in [
        "true",
        "echo hello",
        r#"echo '{"type":"done","id":0,"result":null}'"#,
    ] {
        let error = shell(script).err().expect("no adapter");
        assert!(error.contains("the first line is not `hello`"), "{error}");
    }
    let error = Process::start(&mut Command::new("/no/such/program")).err();
    assert!(error.is_some_and(|error| error.contains("/no/such/program")));
}
