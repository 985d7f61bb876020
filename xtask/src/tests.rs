//! `cargo xtask test`, a suite of it by name, and `cargo xtask check`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cargo::{ALL, CHECKS, COMPONENT, build, built, cargo, ensure_target, root, run, target};
use crate::lint::clippy;
use crate::{edge, fuzz, programs, python};

/// With each change every fourth mutant is tried; `mutants` tries them all.
const SOME_MUTANTS: &str = "4";

/// Everything, or the suite that is named, with a filter for its tests.
pub(crate) fn run_tests(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [] => everything(),
        [name] => suite(name, None),
        [name, filter] => suite(name, Some(filter)),
        _ => Err("`test` takes a suite, and a part of the names of its tests".into()),
    }
}

/// The parts of a run, and the time that each took.
#[derive(Default)]
struct Parts(Vec<(&'static str, Duration)>);

impl Parts {
    fn run(&mut self, name: &'static str, part: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let began = Instant::now();
        let ended = part();
        self.0.push((name, began.elapsed()));
        ended
    }

    fn print(&self) {
        println!("\nxtask: parts");
        for (name, took) in &self.0 {
            println!("{:>6.0} s  {name}", took.as_secs_f32());
        }
        let all: Duration = self.0.iter().map(|(_, took)| *took).sum();
        println!("{:>6.0} s  in all", all.as_secs_f32());
    }
}

fn everything() -> Result<(), String> {
    let mut parts = Parts::default();
    let ended = each_part(&mut parts);
    parts.print();
    ended
}

/// The tests start the program itself, so it is built before them. The Worker is built for another machine than they run on.
fn each_part(parts: &mut Parts) -> Result<(), String> {
    ensure_target();
    parts.run("install what the tests need", || {
        programs::ensure().and_then(|()| python::ensure())
    })?;
    parts.run("build", build)?;
    parts.run("compare the component with its sources", || {
        let tool = target().join("checks/tessera-component-build");
        let check = ["check", COMPONENT];
        run("component", Command::new(tool).current_dir(root()).args(check))
    })?;
    parts.run("build the Worker", edge::for_tests)?;
    parts.run("tests", || test(&["--no-fail-fast"]))?;
    parts.run("fuzz targets", || fuzz::run(None))?;
    parts.run("mutants", || built("mutants", &[SOME_MUTANTS.into()]))
}

/// `cargo test` with the selection that [`build`] has, so that nothing is compiled twice.
fn test(arguments: &[&str]) -> Result<(), String> {
    cargo("tests", &[&["test", CHECKS, "--locked"], ALL, arguments].concat())
}

fn suite(name: &str, filter: Option<&str>) -> Result<(), String> {
    let known = suites()?;
    if !known.iter().any(|known| known == name) {
        return Err(format!("there is no suite {name}, but {}", known.join(", ")));
    }
    ensure_target();
    programs::ensure()?;
    if name == "service" {
        python::ensure()?;
    }
    // Several suites start the program.
    // With the suite itself, so that libraries have the features that its run gives them.
    let program = ["build", CHECKS, "--locked"];
    let targets = ["--bin", "tessera", "--test", name];
    cargo("the program", &[&program, ALL, &targets].concat())?;
    if name == "edge" {
        edge::for_tests()?;
    }
    let filter: Vec<&str> = filter.into_iter().collect();
    test(&[&["--test", name, "--"], &filter[..]].concat())
}

/// The files of `tests/tests`.
fn suites() -> Result<Vec<String>, String> {
    let place = root().join("tests/tests");
    let files = fs::read_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let name = |file: fs::DirEntry| {
        let name = file.file_name().into_string().ok()?;
        name.strip_suffix(".rs").map(str::to_owned)
    };
    let mut names: Vec<String> = files.flatten().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// What takes less than two minutes once everything was built: format, lints, unit tests, scenarios over memory.
pub(crate) fn check() -> Result<(), String> {
    ensure_target();
    cargo("format", &["fmt", "--all", "--check"])?;
    clippy()?;
    test(&["--lib"])?;
    test(&["--test", "scenarios", "--", "memory"])
}
