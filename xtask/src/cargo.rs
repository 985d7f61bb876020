//! cargo and other programs, run in the project's folder; and the one selection of features that all checks share.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The engine, compiled.
pub(crate) const COMPONENT: &str = "component/tessera.wasm";
/// How lints and tests are compiled, which is never measured.
pub(crate) const CHECKS: &str = "--profile=checks";
/// How whatever is measured is compiled.
pub(crate) const RELEASE: &str = "--release";
/// All members but the Worker, which is built for another machine; with what the mutants need, which are compiled while they run:
/// built by themselves, they would have wasmtime and all that uses it compiled once more.
pub(crate) const ALL: &[&str] = &[
    "--workspace",
    "--exclude",
    "tessera-edge",
    "--features",
    "tessera-tests/compile",
];

/// Everything at once, so that what is shared is compiled once: what one package asks of a library, all are given.
pub(crate) fn build() -> Result<(), String> {
    ensure_target();
    cargo(
        "build",
        &[&["build", CHECKS, "--locked"], ALL, &["--all-targets"]].concat(),
    )
}

/// A program of `tests/examples` that [`build`] has made.
pub(crate) fn built(name: &str, arguments: &[String]) -> Result<(), String> {
    let program = target().join("checks/examples").join(name);
    run(name, Command::new(program).current_dir(root()).args(arguments))
}

/// A program of `tests/examples` that measures.
pub(crate) fn example(name: &str, arguments: &[String]) -> Result<(), String> {
    let package = ["--package", "tessera-tests", "--example", name, "--"];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cargo(
        name,
        &[&["run", RELEASE, "--locked"], &package[..], &arguments].concat(),
    )
}

/// Where rustup's auto-install is off, `rust-toolchain.toml` alone brings no target.
pub(crate) fn ensure_target() {
    // If rustup is not there, the compiler says later what is missing.
    let _ = Command::new("rustup")
        .current_dir(root())
        .args(["target", "add", "wasm32-unknown-unknown"])
        .output();
}

pub(crate) fn cargo(what: &str, arguments: &[&str]) -> Result<(), String> {
    println!("xtask: {what}: cargo {}", arguments.join(" "));
    run(what, cargo_command().args(arguments))
}

/// cargo, in the project's folder.
pub(crate) fn cargo_command() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root());
    // What `cargo xtask` runs under is of xtask; some libraries are built again when it changes.
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

pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
