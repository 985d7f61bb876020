//! Programs that tests and benchmarks start and cargo does not build: Debian's, installed where they are missing.

use std::path::Path;
use std::process::Command;

/// Those of the tests, each with the package it comes in.
const PROGRAMS: [(&str, &str); 1] = [("nginx", "nginx-light")];

/// Installs what the tests need and is missing.
pub(crate) fn ensure() -> Result<(), String> {
    install(&PROGRAMS)
}

/// Installs one program of a package, where it is missing.
pub(crate) fn ensure_one(program: &'static str, package: &'static str) -> Result<(), String> {
    install(&[(program, package)])
}

fn install(programs: &[(&str, &'static str)]) -> Result<(), String> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("xtask: installing {}", missing.join(", "));
    let install = [
        &["install", "--quiet", "--yes", "--no-install-recommends"],
        &missing[..],
    ];
    if apt_get(&["update", "--quiet"]) && apt_get(&install.concat()) {
        return Ok(());
    }
    Err(format!(
        "these are needed and could not be installed: {}",
        missing.join(", ")
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
    run("apt-get", &[])
        || run(
            "sudo",
            &[
                "--non-interactive",
                "--preserve-env=DEBIAN_FRONTEND,RUNLEVEL",
                "apt-get",
            ],
        )
}
