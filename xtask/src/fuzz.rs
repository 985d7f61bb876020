//! Builds and runs the fuzz targets as cargo-fuzz does without a sanitizer, but on stable Rust and without cargo-fuzz.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cargo::root;

/// The targets, each with a number of runs that takes about ten seconds.
const TARGETS: [(&str, u32); 10] = [
    ("token", 200_000),
    ("record", 200_000),
    ("json", 200_000),
    ("fields", 20_000),
    ("handle", 100_000),
    ("policy", 50_000),
    ("csrf", 150_000),
    ("body", 50_000),
    ("headers", 100_000),
    ("settings", 100_000),
];
/// Flags that instrument the code with coverage and comparisons for libFuzzer.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Runs all targets, each for its number of runs, which are the same each time, or for this number of seconds.
pub(crate) fn run(seconds: Option<&str>) -> Result<(), String> {
    if seconds.is_some_and(|seconds| seconds.parse::<u32>().is_err()) {
        return Err("`fuzz` takes a whole number of seconds".into());
    }
    let root = fs::canonicalize(root()).map_err(|error| error.to_string())?;
    let target = root.join("target/fuzz");
    let host = host()?;
    build(&root, &target, &host)?;
    let mut report = Vec::new();
    let mut crashed = false;
    for (name, runs) in TARGETS {
        let limit = match seconds {
            Some(seconds) => format!("-max_total_time={seconds}"),
            None => format!("-runs={runs}"),
        };
        let program = target.join(&host).join("release").join(name);
        let (executions, crash) = fuzz(&root, &target, &program, name, &limit)?;
        crashed |= crash.is_some();
        let crash = crash.map_or_else(String::new, |crash| format!("  CRASH {crash}"));
        report.push(format!("{name:<8}{executions:>10} executions{crash}"));
    }
    println!("{}", report.join("\n"));
    if crashed {
        Err("fuzz: a target crashed; to reproduce, run its program with the input file as argument".into())
    } else {
        Ok(())
    }
}

/// Builds the targets. With an explicit `--target`, the flags do not apply to build scripts.
fn build(root: &Path, target: &Path, host: &str) -> Result<(), String> {
    println!("xtask: fuzz: building the targets");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--release", "--locked", "--bins", "--target", host])
        .args(["--manifest-path", "tests/fuzz/Cargo.toml", "--target-dir"])
        .arg(target)
        .env("RUSTFLAGS", FLAGS)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("the fuzz targets do not build (libFuzzer needs a C++ compiler)".into()),
        Err(error) => Err(format!("cargo cannot be started: {error}")),
    }
}

fn host() -> Result<String, String> {
    let answer = Command::new("rustc").arg("-vV").current_dir(root()).output();
    let answer = answer.map_err(|error| format!("rustc cannot be started: {error}"))?;
    String::from_utf8_lossy(&answer.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc does not report its host".into())
}

/// Runs one target from the project's corpus. New inputs are stored under `target/`.
///
/// Returns the number of executions, and the file of the crashing input if there was a crash.
fn fuzz(
    root: &Path,
    target: &Path,
    program: &Path,
    name: &str,
    limit: &str,
) -> Result<(u64, Option<String>), String> {
    let found = target.join("found").join(name);
    let crashes = target.join("crashes");
    let given = root.join("tests/fuzz");
    // Inputs from an earlier run would make this run different.
    let _ = fs::remove_dir_all(&found);
    for directory in [&found, &crashes] {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    println!("xtask: fuzz: {name} {limit}");
    let mut child = Command::new(program)
        .args([
            limit,
            "-seed=1",
            "-max_len=2048",
            "-timeout=10",
            "-print_final_stats=1",
        ])
        .arg(format!(
            "-dict={}",
            given.join("dictionaries").join(name).display()
        ))
        .arg(format!("-artifact_prefix={}/{name}-", crashes.display()))
        .args([&found, &given.join("corpus").join(name)])
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let mut executions = 0;
    let mut crash = None;
    let mut last = Vec::new();
    for line in child
        .stderr
        .take()
        .into_iter()
        .flat_map(|errors| BufReader::new(errors).split(b'\n'))
    {
        let line = line.map_err(|error| error.to_string())?;
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
            executions = number.trim().parse().unwrap_or(0);
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            crash = Some(path.to_owned());
        }
        // Progress lines are dropped: there are thousands of them.
        if !line.starts_with(['#', '\t']) {
            last.push(line);
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        println!("{}", last.join("\n"));
        crash.get_or_insert_with(|| "without an input".into());
    }
    Ok((executions, crash))
}
