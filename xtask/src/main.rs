//! `cargo xtask`: the project's commands for tests, checks, benchmarks and builds.
//!
//! It depends on no member of the workspace, so that it builds in a second.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for the terminal"
)]

mod cargo;
mod connections;
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

use crate::cargo::{CHECKS, COMPONENT, build, built, cargo, cargo_command, example, root, run};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  check         format, clippy, unit tests, scenarios over memory: the short loop of a change
  test          install the tools of the tests, build everything, run all tests
                `test SUITE [FILTER]`: one file of tests/tests
  lint          clippy over everything, with warnings denied
  deny          check licences, duplicates and sources of the dependencies by deny.toml
  component     compile guest/ to component/tessera.wasm, which every host loads
  edge          build the Worker's bundle in edge/deploy, beside its configuration
                `edge tests`: with the routes of the tests
  python        build the wheel and the source distribution of plugins/python, and try them
  explore       run every order of several clients' steps, with faults
                `explore NAME…`: the named campaigns, which may be long ones
  chaos         load every store while it is killed, cut off and slowed
                `chaos SECONDS STORE…`: for this time, over the named stores
  conformance   check the hosts of all languages by their adapters, and write docs/languages.md
                `conformance LANGUAGE…`: the named ones, without the page
  mutants       check that the tests find each deliberate fault in the engine
                `mutants N`: every Nth; `mutants NAME…`: the named ones
  fuzz          compare the engine and the HTTP layer with naive models, about ten seconds for each target
                `fuzz SECONDS`: this time for each target
  timing        measure whether the time of a refusal depends on the correct token (dudect)
  bench         criterion benchmarks, compared with jsonwebtoken and tower-sessions (tests/peers)
  bench-http    requests per second, compared with the same axum program with tower-sessions, driven by wrk
                `bench-http N`: N rounds
  bench-stores  opens and saves over every store, compared with bare reads and writes, and with tower-sessions
                `bench-stores NAME…`: the named stores
  bench-connections  messages to 10 000 connections over Redis, compared with Socket.IO and its Redis streams adapter
  soak-connections  clients of connections that come, vanish and come back at two services over Redis, and what is left of them
                `soak-connections SECONDS`: for this time
  bench-floods  logout and login while 256 connections save to the same session
                `bench-floods NAME…`: over the named stores
  bench-python  opens and requests of the Python package, compared with itsdangerous, Django, Starlette and redis-py
  bench-edge    the Worker compared with one that only reads KV: upload, first and warm request, requests per second
  soak-edge     50 000 requests of 40 clients to the Worker, over slow storage
  load          100 000 sessions in a SQLite file: start, open, save, size
                `load N`: N sessions
  size          the component's size at each level of optimisation, and its parts
";

fn main() -> ExitCode {
    let command = env::args().nth(1).unwrap_or_default();
    let rest: Vec<String> = env::args().skip(2).collect();
    let ended = match command.as_str() {
        "test" => tests::run_tests(&rest),
        "check" | "lint" | "component" | "deny" | "bench" | "size" | "bench-connections" | "bench-edge"
        | "soak-edge" | "python" | "bench-python"
            if !rest.is_empty() =>
        {
            Err(format!("`{command}` takes no arguments"))
        }
        "check" => tests::check(),
        "lint" => lint::lint(),
        "component" => component(),
        "deny" => python::deny(),
        "bench" => bench(),
        "bench-http" => http::bench(rest.first().map(String::as_str)),
        "bench-stores" => stores::bench(&rest),
        "bench-connections" => connections::bench(),
        "soak-connections" => connections::soak(&rest),
        "load" | "timing" => example(&command, &rest),
        "bench-floods" => servers().and_then(|()| example("floods", &rest)),
        "explore" => build().and_then(|()| built("explore", &rest)),
        "chaos" => chaos(&rest),
        "conformance" => conformance(&rest),
        "python" => python::distribute(),
        "bench-python" => python::bench(),
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
        "" => Err(format!("no command given\n\n{HELP}")),
        other => Err(format!("unknown command `{other}`\n\n{HELP}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Compiles the engine's sources and replaces the component.
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

fn conformance(arguments: &[String]) -> Result<(), String> {
    servers()?;
    build()?;
    built("conformance", arguments)
}

/// Installs the servers of the stores that are missing.
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
    let manifest = root().join("tests/peers/Cargo.toml");
    let manifest = manifest
        .to_str()
        .ok_or("the path of the project is not Unicode")?;
    let target = root().join("target/peers");
    let target = target.to_str().ok_or("the path of the project is not Unicode")?;
    // Criterion writes its measurements there, and the benchmark reads them for its quotients.
    let criterion = root().join("target/peers/criterion");
    let mut bench = cargo_command();
    bench.env("CRITERION_HOME", criterion);
    bench.args(["bench", "--locked", "--manifest-path", manifest]);
    run("bench", bench.args(["--target-dir", target]))
}
