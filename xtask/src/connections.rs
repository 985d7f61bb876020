//! Measures connections over Redis, beside Socket.IO, and soaks them.

use std::process::Command;

use crate::cargo::{ALL, CHECKS, RELEASE, built, cargo, root, run, target};
use crate::programs;

/// Builds the service and the benchmark, which starts it, in one command: both have the same features.
pub(crate) fn bench() -> Result<(), String> {
    programs::ensure_one("redis-server", "redis-server")?;
    programs::node()?;
    programs::npm("tests/peers/socketio")?;
    cargo(
        "bench-connections",
        &[
            "build",
            RELEASE,
            "--locked",
            "--package",
            "tessera-server",
            "--bin",
            "tessera",
            "--package",
            "tessera-tests",
            "--example",
            "connections",
        ],
    )?;
    let program = target().join("release/examples/connections");
    run("bench-connections", Command::new(program).current_dir(root()))
}

/// Builds the service and its clients, in one command as well.
pub(crate) fn soak(arguments: &[String]) -> Result<(), String> {
    programs::ensure_one("redis-server", "redis-server")?;
    let build = ["build", CHECKS, "--locked"];
    let targets = ["--bin", "tessera", "--example", "soak"];
    cargo("soak-connections", &[&build, ALL, &targets].concat())?;
    built("soak", arguments)
}
