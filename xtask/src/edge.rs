//! The Worker's bundle: the component's module, the Worker compiled to a module, and the JavaScript between the two.
//!
//! The component is `component/tessera.wasm`, byte for byte.
//! All other parts come from Cargo and npm, both locked; nothing else is downloaded.

mod deployment;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{
    ALL, CHECKS, COMPONENT, RELEASE, build as build_all, cargo, cargo_command, ensure_target, root, run,
};
use crate::programs;
use deployment::{BUNDLE, failed};

/// Where the operator's configuration is, and the bundle beside it.
const DEPLOYMENT: &str = "edge/deploy";
const TEMPLATE: &str = "edge/wrangler.toml";
const TOOLS: &str = "edge/tools";
const TARGET: &str = "wasm32-unknown-unknown";
const WORKER_TARGET: &str = "target/edge-worker";

/// `cargo xtask edge`: the bundle that is deployed, or with `tests` the one that the tests run.
pub(crate) fn run_command(which: Option<&str>) -> Result<(), String> {
    match which {
        None => deployable(),
        Some("tests") => for_tests(),
        Some(other) => Err(format!("there is no bundle {other}")),
    }
}

fn deployable() -> Result<(), String> {
    let deployment = absolute(&root().join(DEPLOYMENT))?;
    let bundle = deployment::prepare(&deployment)?;
    build_release(&bundle)?;
    let template = absolute(&root().join(TEMPLATE))?;
    match deployment::configure(&deployment, &template)? {
        deployment::Configured::Anew => println!("xtask: made {DEPLOYMENT}/wrangler.toml: edit it"),
        deployment::Configured::Before => println!(
            "xtask: kept {DEPLOYMENT}/wrangler.toml and what else is there; {TEMPLATE} is the present template"
        ),
    }
    println!("xtask: deploy it with `cd {DEPLOYMENT} && npx wrangler deploy`");
    Ok(())
}

/// The bundle as it is deployed, and what it weighs.
fn build_release(bundle: &Path) -> Result<(), String> {
    cargo(
        "program",
        &["build", RELEASE, "--locked", "--package", "tessera-server"],
    )?;
    build(&[], bundle)?;
    let mut whole = 0;
    for name in BUNDLE {
        let bytes = zipped(&bundle.join(name))?;
        whole += bytes;
        println!("xtask: {name}: {bytes} bytes with gzip");
    }
    println!("xtask: the upload: {whole} bytes with gzip");
    Ok(())
}

/// `cargo xtask bench-edge`: the upload's size, and requests beside a Worker that does nothing but read KV.
pub(crate) fn bench() -> Result<(), String> {
    let bundle = absolute(&root().join("target/edge/bench-bundle"))?;
    build_release(&bundle)?;
    let options = format!(
        r#"{{"bundle":{:?},"tools":{:?}}}"#,
        bundle.display().to_string(),
        absolute(&root().join(TOOLS))?.display().to_string()
    );
    let bench = root().join("tests/edge/bench.mjs");
    run("bench-edge", Command::new("node").arg(bench).arg(options))
}

/// `cargo xtask soak-edge`: 50 000 requests of forty clients, over slow storage.
pub(crate) fn soak() -> Result<(), String> {
    build_all()?;
    for_tests()?;
    let mut test = cargo_command();
    test.env("TESSERA_SOAK_REQUESTS", "50000");
    test.args(["test", CHECKS, "--locked"])
        .args(ALL)
        .args(["--test", "edge", "soak"]);
    run("soak-edge", &mut test)
}

/// The bundle that the tests run, with routes of their own.
pub(crate) fn for_tests() -> Result<(), String> {
    let bundle = absolute(&root().join("target/edge/test-bundle"))?;
    build(&["test-routes"], &bundle)
}

/// Builds a bundle in a directory that is replaced.
fn build(features: &[&str], bundle: &Path) -> Result<(), String> {
    ensure_target();
    programs::node()?;
    programs::npm(TOOLS)?;
    let tool = build_tool()?;
    let module = compile(features)?;

    let work = root().join("target/edge/work");
    for directory in [bundle, &work] {
        // What an earlier build left there is not to be uploaded.
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    }
    run(
        "the engine",
        Command::new(&tool)
            .arg("engine")
            .arg(root().join(COMPONENT))
            .arg(&work),
    )?;
    run(
        "wasm-bindgen",
        Command::new(&tool).arg("worker").arg(&module).arg(&work),
    )?;
    for name in [
        "abi.js",
        "call.js",
        "engine.js",
        "main.js",
        "message.js",
        "panic.js",
    ] {
        copy(&root().join("edge/js").join(name), &work.join(name))?;
    }
    optimise(&work.join("worker_bg.wasm"), &bundle.join("worker_bg.wasm"))?;
    copy(&work.join("engine.wasm"), &bundle.join("engine.wasm"))?;
    let mut esbuild = tool_of_npm("esbuild/bin/esbuild");
    esbuild
        .current_dir(&work)
        .args([
            "main.js",
            "--bundle",
            "--minify",
            "--format=esm",
            "--target=es2022",
            "--log-level=warning",
            // wasm-bindgen names a module once for each function that is taken from it.
            "--log-override:duplicate-object-key=silent",
        ])
        .args(["--external:*.wasm", "--external:cloudflare:workers"])
        .arg(format!("--outfile={}", bundle.join("worker.js").display()));
    run("esbuild", &mut esbuild)
}

fn build_tool() -> Result<PathBuf, String> {
    cargo(
        "edge/build",
        &[
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            "edge/build/Cargo.toml",
            "--target-dir",
            "target/edge-build",
        ],
    )?;
    Ok(root().join("target/edge-build/release/tessera-edge-build"))
}

fn compile(features: &[&str]) -> Result<PathBuf, String> {
    let features = features.join(",");
    let flags = format!("target.{TARGET}.rustflags={:?}", remapped());
    cargo(
        "edge",
        &[
            "build",
            "--locked",
            "--package",
            "tessera-edge",
            "--profile",
            "edge",
            "--target",
            TARGET,
            "--target-dir",
            WORKER_TARGET,
            "--features",
            &features,
            "--config",
            &flags,
        ],
    )?;
    Ok(root()
        .join(WORKER_TARGET)
        .join(TARGET)
        .join("edge/tessera_edge.wasm"))
}

/// Flags by which a panic names no directory of whoever builds: what is uploaded is to tell none, and to be shorter for it.
fn remapped() -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    // The registry's folder is named after its address.
    let registries = home.map(|home| home.join("registry/src"));
    let registries = registries.and_then(|sources| fs::read_dir(sources).ok());
    let registries = registries.into_iter().flatten().flatten();
    registries
        .map(|registry| format!("--remap-path-prefix={}=", registry.path().display()))
        .collect()
}

fn optimise(from: &Path, to: &Path) -> Result<(), String> {
    let mut optimise = tool_of_npm("binaryen/bin/wasm-opt");
    // What LLVM makes for this target by default, and reference types, which wasm-bindgen adds.
    let features = [
        "--enable-bulk-memory",
        "--enable-multivalue",
        "--enable-mutable-globals",
        "--enable-nontrapping-float-to-int",
        "--enable-reference-types",
        "--enable-sign-ext",
    ];
    run(
        "wasm-opt",
        optimise.arg("-Oz").args(features).arg(from).arg("-o").arg(to),
    )
}

/// A program that npm has installed, run by node: what it ships for this machine is found by itself.
fn tool_of_npm(program: &str) -> Command {
    let mut command = Command::new("node");
    // Run elsewhere: the path has to be whole.
    let place = root().join(TOOLS).join("node_modules").join(program);
    command.arg(absolute(&place).unwrap_or(place));
    command
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| failed(path, &error))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| failed(from, &error))
}

/// How many bytes `gzip -9` makes of a file, as uploads are counted.
fn zipped(path: &Path) -> Result<usize, String> {
    let output = Command::new("gzip").arg("-9c").arg(path).output();
    let output = output.map_err(|error| format!("gzip cannot be started: {error}"))?;
    if output.status.success() {
        Ok(output.stdout.len())
    } else {
        Err(format!("gzip failed on {}", path.display()))
    }
}
