//! `cargo xtask test` and its kin: what the project does to itself. Depends on no member, so that it builds in a second.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for the terminal"
)]

mod cargo;
mod edge;
mod fuzz;
mod http;
mod lint;
mod programs;
mod python;
mod size;
mod stores;
mod tests;

use std::env;
use std::process::ExitCode;

use crate::cargo::{
    CHECKS, COMPONENT, build, built, cargo, cargo_command, ensure_target, example, root, run,
};

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
  chaos every store under load while it is killed, cut off and slowed; `chaos SECONDS STORE…`: so long, and these
  mutants deliberate faults in the engine, each of which must be found; `mutants N`: every Nth; `mutants NAME…`
  timing  whether the time of a refusal tells what the right token is (dudect)
  fuzz    the engine and the HTTP side against naive models, some ten seconds each target; `fuzz SECONDS`: so long each
  edge    the Worker's bundle, ready to be deployed, beside its configuration: edge/deploy; `edge tests`: with the tests' routes
  bench-edge  the Worker beside one that does nothing but read KV: upload, first and warm request, requests a second
  soak-edge   50 000 requests of 40 clients to the Worker, over slow storage
  size    the component at each level of optimisation, and what it is made of
";

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
        "lint" => lint::lint(),
        "component" => component(),
        "bench" => bench(),
        "bench-http" => http::bench(rest.first().map(String::as_str)),
        "bench-stores" => stores::bench(&rest),
        "load" | "timing" => example(&command, &rest),
        "bench-floods" => servers().and_then(|()| example("floods", &rest)),
        "explore" => build().and_then(|()| built("explore", &rest)),
        "chaos" => chaos(&rest),
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

fn chaos(arguments: &[String]) -> Result<(), String> {
    servers()?;
    build()?;
    built("chaos", arguments)
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
