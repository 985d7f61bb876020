//! `cargo xtask test`, `cargo xtask test SUITE` and `cargo xtask check`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cargo::{ALL, CHECKS, COMPONENT, build, built, cargo, ensure_target, root, run, target};
use crate::lint::clippy;
use crate::{edge, fuzz, programs, python};

/// `test` runs every fourth mutant; `mutants` runs all.
const SOME_MUTANTS: &str = "4";

/// Runs everything, or one suite with an optional filter for its tests.
pub(crate) fn run_tests(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [] => everything(),
        [name, rest @ ..] if name == "python" => {
            programs::ensure()?;
            let library = ["build", CHECKS, "--locked"];
            cargo("the extension module", &[&library, ALL, &["--lib"]].concat())?;
            let filter: Vec<&str> = rest.iter().flat_map(|part| ["-k", part]).collect();
            python::test(&filter)
        }
        [name] => suite(name, None),
        [name, filter] => suite(name, Some(filter)),
        _ => Err("`test` takes a suite and a filter, which is a part of the tests' names".into()),
    }
}

/// The parts of a run, with the duration of each.
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
        println!("{:>6.0} s  in total", all.as_secs_f32());
    }
}

fn everything() -> Result<(), String> {
    let mut parts = Parts::default();
    let ended = each_part(&mut parts);
    parts.print();
    ended
}

/// Runs all parts. The program and the Worker are built before the tests, which start them.
fn each_part(parts: &mut Parts) -> Result<(), String> {
    parts.run("install the tools of the tests", || {
        programs::ensure().and_then(|()| python::ensure())
    })?;
    parts.run("licences and duplicates of dependencies", python::deny)?;
    parts.run("build", build)?;
    parts.run("compare the component with its sources", || {
        let tool = target().join("checks/tessera-component-build");
        let check = ["check", COMPONENT];
        run("component", Command::new(tool).current_dir(root()).args(check))
    })?;
    parts.run("build the Worker", edge::for_tests)?;
    parts.run("tests", || test(&["--no-fail-fast"]))?;
    parts.run("tests of the Python package", || python::test(&[]))?;
    parts.run("fuzz targets", || fuzz::run(None))?;
    parts.run("mutants", || built("mutants", &[SOME_MUTANTS.into()]))
}

/// Runs `cargo test` with the selection of [`build`], so that nothing is compiled twice.
fn test(arguments: &[&str]) -> Result<(), String> {
    cargo("tests", &[&["test", CHECKS, "--locked"], ALL, arguments].concat())
}

/// The suites that start no program from Debian, npm or PyPI.
const WITHOUT_PROGRAMS: [&str; 11] = [
    "arrows",
    "boundary",
    "component",
    "docs",
    "driver",
    "interleavings",
    "owasp",
    "packages",
    "random",
    "releases",
    "vectors",
];

fn suite(name: &str, filter: Option<&str>) -> Result<(), String> {
    let known = suites()?;
    if !known.iter().any(|known| known == name) {
        return Err(format!(
            "unknown suite `{name}`; the suites are {}",
            known.join(", ")
        ));
    }
    ensure_target();
    if !WITHOUT_PROGRAMS.contains(&name) && (name, filter) != ("scenarios", Some("memory")) {
        programs::ensure()?;
    }
    if name == "service" {
        python::ensure()?;
    }
    // Several suites start the program.
    // It is built together with the suite, so that libraries have the same features as in the suite's run.
    let program = ["build", CHECKS, "--locked"];
    let targets = ["--bin", "tessera", "--test", name];
    cargo("the program", &[&program, ALL, &targets].concat())?;
    if name == "edge" {
        edge::for_tests()?;
    }
    let filter: Vec<&str> = filter.into_iter().collect();
    test(&[&["--test", name, "--"], &filter[..]].concat())
}

/// The names of the suites, which are the files of `tests/tests`.
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

/// `cargo xtask check`: format, lints, unit tests, scenarios over memory. Takes less than two minutes after a first build.
pub(crate) fn check() -> Result<(), String> {
    cargo("format", &["fmt", "--all", "--check"])?;
    clippy()?;
    test(&["--lib"])?;
    test(&["--test", "scenarios", "--", "memory"])
}
