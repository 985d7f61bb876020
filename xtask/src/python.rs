//! schemathesis, in an environment of its own under `target/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cargo::root;
use crate::programs;

/// Installs it, if it is not there in the versions that the tests name.
pub(crate) fn ensure() -> Result<(), String> {
    let wanted = root().join("tests/openapi/requirements.txt");
    let place = root().join("target/schemathesis");
    let installed = place.join("requirements.txt");
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let versions = read(&wanted)?;
    if read(&installed).is_ok_and(|installed| installed == versions) {
        return Ok(());
    }
    println!("xtask: installing schemathesis");
    if !make(&place) {
        // Debian's python3 comes without it.
        programs::install(&["python3-venv"])?;
        if !make(&place) {
            return Err("`python3 -m venv` does not work here".into());
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
        return Err("schemathesis could not be installed".into());
    }
    fs::write(&installed, versions).map_err(|error| format!("{}: {error}", installed.display()))
}

fn make(place: &Path) -> bool {
    let mut python = Command::new("python3");
    let python = python.args(["-m", "venv", "--clear"]).arg(place);
    python.status().is_ok_and(|status| status.success())
}
