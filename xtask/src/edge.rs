//! Builds the Worker's bundle: the component's module, the Worker's module, and the JavaScript between the two.
//!
//! The component is `component/tessera.wasm`, byte for byte.
//! All other parts come from Cargo and npm, both with lock files; nothing else is downloaded.

mod deployment;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{
    ALL, CHECKS, COMPONENT, RELEASE, build as build_all, cargo, cargo_command, ensure_target, root, run,
};
use crate::programs;
use deployment::{BUNDLE, failed};

/// The directory of the operator's configuration and of the bundle.
const DEPLOYMENT: &str = "edge/deploy";
const TEMPLATE: &str = "edge/wrangler.toml";
const TOOLS: &str = "edge/tools";
const TARGET: &str = "wasm32-unknown-unknown";
const WORKER_TARGET: &str = "target/edge-worker";

/// `cargo xtask edge`: builds the bundle to deploy, or with `tests` the bundle for the tests.
pub(crate) fn run_command(which: Option<&str>) -> Result<(), String> {
    match which {
        None => deployable(),
        Some("tests") => for_tests(),
        Some(other) => Err(format!("unknown bundle `{other}`")),
    }
}

fn deployable() -> Result<(), String> {
    let deployment = absolute(&root().join(DEPLOYMENT))?;
    let bundle = deployment::prepare(&deployment)?;
    build_release(&bundle)?;
    let template = absolute(&root().join(TEMPLATE))?;
    match deployment::configure(&deployment, &template)? {
        deployment::Configured::Anew => println!("xtask: created {DEPLOYMENT}/wrangler.toml: edit it"),
        deployment::Configured::Before => println!(
            "xtask: kept {DEPLOYMENT}/wrangler.toml and the files beside it; the present template is {TEMPLATE}"
        ),
    }
    println!("xtask: deploy it with `cd {DEPLOYMENT} && npx wrangler@4 deploy`");
    Ok(())
}

/// Builds the bundle to deploy, and prints its compressed size.
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

/// `cargo xtask bench-edge`: measures the upload's size, and requests in comparison with a Worker that only reads KV.
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

/// `cargo xtask soak-edge`: sends 50 000 requests of 40 clients, over slow storage.
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

/// Builds the bundle for the tests, which has additional routes.
pub(crate) fn for_tests() -> Result<(), String> {
    let bundle = absolute(&root().join("target/edge/test-bundle"))?;
    build(&["test-routes"], &bundle)
}

/// Builds a bundle. Replaces the directory `bundle`.
fn build(features: &[&str], bundle: &Path) -> Result<(), String> {
    ensure_target();
    programs::node()?;
    programs::npm(TOOLS)?;
    let tool = build_tool()?;
    let module = compile(features)?;

    let work = root().join("target/edge/work");
    for directory in [bundle, &work] {
        // Files of an earlier build must not be uploaded.
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
        "socket.js",
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
            // wasm-bindgen repeats a module's key for each function that is imported from it.
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

/// Compiler flags that remove the builder's directories from panic messages, for privacy and for a smaller upload.
fn remapped() -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    // The registry's directory is named after its address.
    let registries = home.map(|home| home.join("registry/src"));
    let registries = registries.and_then(|sources| fs::read_dir(sources).ok());
    let registries = registries.into_iter().flatten().flatten();
    registries
        .map(|registry| format!("--remap-path-prefix={}=", registry.path().display()))
        .collect()
}

fn optimise(from: &Path, to: &Path) -> Result<(), String> {
    let mut optimise = tool_of_npm("binaryen/bin/wasm-opt");
    // LLVM's default features for this target, and reference types, which wasm-bindgen uses.
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

/// Returns a command that runs an npm package's script with node. The script finds the binary for this machine.
fn tool_of_npm(program: &str) -> Command {
    let mut command = Command::new("node");
    // Absolute, because the command runs in another directory.
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

/// The size of a file after `gzip -9`, in bytes. Limits on uploads apply to this size.
fn zipped(path: &Path) -> Result<usize, String> {
    let output = Command::new("gzip").arg("-9c").arg(path).output();
    let output = output.map_err(|error| format!("gzip cannot be started: {error}"))?;
    if output.status.success() {
        Ok(output.stdout.len())
    } else {
        Err(format!("gzip failed on {}", path.display()))
    }
}
