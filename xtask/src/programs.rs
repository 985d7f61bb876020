//! Programs that the tests start and cargo does not build: Debian's, installed where they are missing.

use std::path::Path;
use std::process::Command;

/// Each with the package it comes in.
const PROGRAMS: [(&str, &str); 1] = [("nginx", "nginx-light")];

/// Installs what is missing.
pub(crate) fn ensure() -> Result<(), String> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs packages of Debian's.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    println!("xtask: installing {}", packages.join(", "));
    let how = ["install", "--quiet", "--yes", "--no-install-recommends"];
    if apt_get(&["update", "--quiet"]) && apt_get(&[&how, packages].concat()) {
        return Ok(());
    }
    let packages = packages.join(", ");
    Err(format!(
        "the tests need these, which could not be installed: {packages}"
    ))
}

fn is_there(program: &str) -> bool {
    // Not on everybody's path.
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin"];
    places.iter().any(|place| Path::new(place).join(program).exists())
}

fn apt_get(arguments: &[&str]) -> bool {
    let run = |program: &str, before: &[&str]| {
        Command::new(program)
            .args(before)
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // A server that is installed is not to start by itself.
            .env("RUNLEVEL", "1")
            .status()
            .is_ok_and(|status| status.success())
    };
    let preserve = "--preserve-env=DEBIAN_FRONTEND,RUNLEVEL";
    run("apt-get", &[]) || run("sudo", &["--non-interactive", preserve, "apt-get"])
}
