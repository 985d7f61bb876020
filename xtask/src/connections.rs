//! Measures connections over Redis, beside Socket.IO.

use std::process::Command;

use crate::cargo::{RELEASE, cargo, root, run, target};
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
