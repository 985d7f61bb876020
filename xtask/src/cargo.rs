//! Runs cargo and other programs in the project's directory, and defines the selection of features that all checks share.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The compiled engine.
pub(crate) const COMPONENT: &str = "component/tessera.wasm";
/// The profile of lints and tests. No measurement uses it.
pub(crate) const CHECKS: &str = "--profile=checks";
/// The profile of measurements.
pub(crate) const RELEASE: &str = "--release";
/// All members except the Worker, which is built for another target, with the features that the mutants and the tests of the
/// Python package need.
///
/// The mutants compile components while they run. Built separately, they would have wasmtime and its dependents compiled
/// a second time.
pub(crate) const ALL: &[&str] = &[
    "--workspace",
    "--exclude",
    "tessera-edge",
    "--features",
    "tessera-tests/compile,tessera-python/test-panic",
];

/// Builds everything in one command, so that features are unified and each shared library is compiled once.
pub(crate) fn build() -> Result<(), String> {
    ensure_target();
    cargo(
        "build",
        &[&["build", CHECKS, "--locked"], ALL, &["--all-targets"]].concat(),
    )
}

/// Runs a program of `tests/examples` that [`build`] has built.
pub(crate) fn built(name: &str, arguments: &[String]) -> Result<(), String> {
    let program = target().join("checks/examples").join(name);
    run(name, Command::new(program).current_dir(root()).args(arguments))
}

/// Builds and runs a measuring program of `tests/examples`.
pub(crate) fn example(name: &str, arguments: &[String]) -> Result<(), String> {
    let package = ["--package", "tessera-tests", "--example", name, "--"];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cargo(
        name,
        &[&["run", RELEASE, "--locked"], &package[..], &arguments].concat(),
    )
}

/// Installs the target of the guest: without rustup's auto-install, `rust-toolchain.toml` alone does not.
pub(crate) fn ensure_target() {
    // Without rustup, the compiler reports the missing target later.
    let _ = Command::new("rustup")
        .current_dir(root())
        .args(["target", "add", "wasm32-unknown-unknown"])
        .output();
}

/// Runs cargo with these arguments; `what` names the step in messages.
pub(crate) fn cargo(what: &str, arguments: &[&str]) -> Result<(), String> {
    println!("xtask: {what}: cargo {}", arguments.join(" "));
    run(what, cargo_command().args(arguments))
}

/// Returns a command for cargo in the project's directory.
pub(crate) fn cargo_command() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root());
    // These variables describe xtask itself, and some libraries are rebuilt when they change.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
        {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command and prints its duration; `what` names it in messages.
///
/// # Errors
/// If the command cannot be started or fails.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<(), String> {
    let began = Instant::now();
    let status = command.status();
    let status = status.map_err(|error| format!("{what} cannot be started: {error}"))?;
    println!("xtask: {what}: {:.0} s", began.elapsed().as_secs_f32());
    if status.success() {
        Ok(())
    } else {
        Err(format!("{what} failed"))
    }
}

/// cargo's target directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The project's directory.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
