//! `cargo xtask test` and its kin: what the project does to itself. Depends on no member, so that it builds in a second.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for the terminal"
)]

mod edge;
mod fuzz;
mod http;
mod programs;
mod python;
mod size;
mod stores;
mod tests;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  test    install what the tests need, build everything, run all tests; `test SUITE [FILTER]`: one file of tests/tests
  check   format, clippy, unit tests, scenarios over memory: the loop of a change
  lint    clippy over everything, warnings denied
  bench   criterion benchmarks beside jsonwebtoken and tower-sessions (tests/peers)
  bench-http  requests a second beside the same axum program with tower-sessions, driven by wrk; `bench-http N`: N rounds
  bench-stores  opens and saves over every store, beside bare reads and writes and beside tower-sessions over its own; `bench-stores NAME…`: these
  bench-floods  logout and login while 256 connections save to the same session; `bench-floods NAME…`: over these stores
  load    100 000 sessions in a SQLite file: start, open, save, size; `load N`: N of them
  component  compile guest/ and write component/tessera.wasm, which every host loads
  explore every order of several clients' steps, with faults; `explore NAME…`: these campaigns, also long ones
  faulted every store under load while it is killed, cut off and slowed; `faulted SECONDS STORE…`: so long, and these
  mutants deliberate faults in the engine, each of which must be found; `mutants N`: every Nth; `mutants NAME…`
  timing  whether the time of a refusal tells what the right token is (dudect)
  fuzz    the engine and the HTTP side against naive models, some ten seconds each target; `fuzz SECONDS`: so long each
  edge    the Worker's bundle, ready to be deployed, beside its configuration: edge/deploy; `edge tests`: with the tests' routes
  bench-edge  the Worker beside one that does nothing but read KV: upload, first and warm request, requests a second
  soak-edge   50 000 requests of 40 clients to the Worker, over slow storage
  size    the component at each level of optimisation, and what it is made of
";

/// The engine, compiled.
const COMPONENT: &str = "component/tessera.wasm";
/// How lints and tests are compiled, which is never measured.
const CHECKS: &str = "--profile=checks";
/// How whatever is measured is compiled.
const RELEASE: &str = "--release";
/// All members but the Worker, which is built for another machine; with what the mutants need, which are compiled while they run:
/// built by themselves, they would have wasmtime and all that uses it compiled once more.
const ALL: &[&str] = &[
    "--workspace",
    "--exclude",
    "tessera-edge",
    "--features",
    "tessera-tests/compile",
];

fn main() -> ExitCode {
    let command = env::args().nth(1).unwrap_or_default();
    let rest: Vec<String> = env::args().skip(2).collect();
    let ended = match command.as_str() {
        "test" => tests::run_tests(&rest),
        "check" | "lint" | "component" | "bench" | "size" | "bench-edge" | "soak-edge"
            if !rest.is_empty() =>
        {
            Err(format!("`{command}` takes no arguments"))
        }
        "check" => tests::check(),
        "lint" => lint(),
        "component" => component(),
        "bench" => bench(),
        "bench-http" => http::bench(rest.first().map(String::as_str)),
        "bench-stores" => stores::bench(&rest),
        "load" | "timing" => example(&command, &rest),
        "bench-floods" => servers().and_then(|()| example("floods", &rest)),
        "explore" => build().and_then(|()| built("explore", &rest)),
        "faulted" => faulted(&rest),
        "mutants" => mutants(&rest),
        "fuzz" => fuzz::run(rest.first().map(String::as_str)),
        "edge" => edge::run_command(rest.first().map(String::as_str)),
        "bench-edge" => edge::bench(),
        "soak-edge" => edge::soak(),
        "size" => size::report(),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        "" => Err("which command?".into()),
        other => Err(format!("there is no command {other}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}\n\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

/// Writes what the engine's sources compile to, in the place of the component that is there.
fn component() -> Result<(), String> {
    let tool = ["--package", "tessera-component-build", "--", "write", COMPONENT];
    cargo("component", &[&["run", CHECKS, "--locked"], &tool[..]].concat())
}

fn mutants(arguments: &[String]) -> Result<(), String> {
    build()?;
    built("mutants", arguments)
}

fn faulted(arguments: &[String]) -> Result<(), String> {
    servers()?;
    build()?;
    built("faulted", arguments)
}

/// The servers of the stores, installed where they are missing.
fn servers() -> Result<(), String> {
    for (program, package) in [
        ("redis-server", "redis-server"),
        ("postgres", "postgresql"),
        ("mariadbd", "mariadb-server"),
    ] {
        programs::ensure_one(program, package)?;
    }
    Ok(())
}

/// Everything at once, so that what is shared is compiled once: what one package asks of a library, all are given.
fn build() -> Result<(), String> {
    ensure_target();
    cargo(
        "build",
        &[&["build", CHECKS, "--locked"], ALL, &["--all-targets"]].concat(),
    )
}

/// A program of `tests/examples` that [`build`] has made.
fn built(name: &str, arguments: &[String]) -> Result<(), String> {
    let program = target().join("checks/examples").join(name);
    run(name, Command::new(program).current_dir(root()).args(arguments))
}

/// A program of `tests/examples` that measures.
fn example(name: &str, arguments: &[String]) -> Result<(), String> {
    let package = ["--package", "tessera-tests", "--example", name, "--"];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cargo(
        name,
        &[&["run", RELEASE, "--locked"], &package[..], &arguments].concat(),
    )
}

/// Over all that [`build`] builds.
fn clippy() -> Result<(), String> {
    let lints = ["--all-targets", "--", "--deny", "warnings"];
    cargo("clippy", &[&["clippy", CHECKS, "--locked"], ALL, &lints].concat())
}

fn lint() -> Result<(), String> {
    ensure_target();
    clippy()?;
    cargo(
        "clippy, fuzz targets",
        &[
            "clippy",
            RELEASE,
            "--locked",
            "--manifest-path",
            "tests/fuzz/Cargo.toml",
            "--target-dir",
            "target/fuzz",
            "--",
            "--deny",
            "warnings",
        ],
    )?;
    // With the routes of the tests and without.
    for features in ["", "test-routes"] {
        cargo(
            "clippy, the Worker",
            &[
                "clippy",
                "--locked",
                "--profile",
                "edge",
                "--package",
                "tessera-edge",
                "--features",
                features,
                "--target",
                "wasm32-unknown-unknown",
                "--target-dir",
                "target/edge-worker",
                "--",
                "--deny",
                "warnings",
            ],
        )?;
    }
    cargo(
        "clippy, the Worker's build",
        &[
            "clippy",
            RELEASE,
            "--locked",
            "--manifest-path",
            "edge/build/Cargo.toml",
            "--target-dir",
            "target/edge-build",
            "--",
            "--deny",
            "warnings",
        ],
    )?;
    // The program with the features that it enables itself, as it is installed.
    let program = ["--package", "tessera-server", "--", "--deny", "warnings"];
    cargo(
        "clippy, the program alone",
        &[&["clippy", CHECKS, "--locked"], &program[..]].concat(),
    )?;
    // The library as others take it: with a store of their own, with middleware, with one store.
    for features in ["", "http", "cache", "redis", "sql"] {
        let library = ["--package", "tessera", "--lib", "--features"];
        cargo(
            "clippy, bare library",
            &[
                &["clippy", CHECKS, "--locked"],
                &library[..],
                &[features, "--", "--deny", "warnings"],
            ]
            .concat(),
        )?;
    }
    Ok(())
}

fn bench() -> Result<(), String> {
    ensure_target();
    let manifest = root().join("tests/peers/Cargo.toml");
    let manifest = manifest
        .to_str()
        .ok_or("the path of the project is not Unicode")?;
    let target = root().join("target/peers");
    let target = target.to_str().ok_or("the path of the project is not Unicode")?;
    // Where Criterion writes what it has measured, and the benchmark reads it for its quotients.
    let criterion = root().join("target/peers/criterion");
    let mut bench = cargo_command();
    bench.env("CRITERION_HOME", criterion);
    bench.args(["bench", "--locked", "--manifest-path", manifest]);
    run("bench", bench.args(["--target-dir", target]))
}

/// Where rustup's auto-install is off, `rust-toolchain.toml` alone brings no target.
fn ensure_target() {
    // If rustup is not there, the compiler says later what is missing.
    let _ = Command::new("rustup")
        .current_dir(root())
        .args(["target", "add", "wasm32-unknown-unknown"])
        .output();
}

fn cargo(what: &str, arguments: &[&str]) -> Result<(), String> {
    println!("xtask: {what}: cargo {}", arguments.join(" "));
    run(what, cargo_command().args(arguments))
}

/// cargo, in the project's folder.
fn cargo_command() -> Command {
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

fn run(what: &str, command: &mut Command) -> Result<(), String> {
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

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
