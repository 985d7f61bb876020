//! The description at `/openapi.json`, held against the service by schemathesis, which nobody here wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::serve;

/// How many requests of an operation it makes up; more by `TESSERA_SCHEMATHESIS`.
const EXAMPLES: &str = "40";
/// Fixed, so that a build fails twice or not at all.
const SEED: &str = "20261121";

fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = root.join("target/schemathesis/bin/st");
    assert!(
        program.exists(),
        "there is no {}: `cargo xtask test` installs it",
        program.display()
    );
    program
}

#[test]
fn schemathesis_finds_no_difference_between_the_document_and_the_service() {
    let (directory, server) = serve(&[]);
    let openapi = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    let url = format!("http://{}", server.address);
    let examples = std::env::var("TESSERA_SCHEMATHESIS").unwrap_or_else(|_| EXAMPLES.into());
    let output = Command::new(program())
        // What it leaves behind, it leaves there.
        .current_dir(directory.path())
        .arg("--no-color")
        .arg("--config-file")
        .arg(openapi.join("schemathesis.toml"))
        .args(["run", &format!("{url}/openapi.json")])
        .args(["--max-examples", &examples, "--seed", SEED])
        .env("SCHEMATHESIS_HOOKS", openapi.join("hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TESSERA_SERVICE_KEY", server.service_key())
        .env("TESSERA_URL", &url)
        .output()
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(
        said.contains("Tested: 25\n") && said.contains("No issues found"),
        "{said}"
    );
    // The one more is the document itself. Nothing found says little of what never succeeded.
    let answered = std::fs::read(directory.path().join("answered.json")).expect("what was answered");
    let answered: BTreeMap<String, Vec<u16>> = serde_json::from_slice(&answered).expect("JSON");
    assert_eq!(answered.len(), 25, "{answered:?}");
    for (operation, codes) in &answered {
        assert!(
            codes.iter().any(|code| (200..300).contains(code)),
            "{operation}: {codes:?}"
        );
    }
    let told: Vec<&str> = said.lines().filter(|line| line.contains("generated")).collect();
    eprintln!("schemathesis: {}", told.join(" ").trim());
    server.stop();
}
