//! Compiles `guest/` to a WebAssembly module, with its own target directory and profile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::failure::Failure;

/// The compilation target of the engine.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// The profile of the engine in the workspace's manifest.
pub const PROFILE: &str = "guest";
/// The size of the stack, one page. The deepest recursion, 64 levels of JSON, needs a small part of it.
const STACK_BYTES: u32 = 65_536;

/// Compiles the engine in the target directory, and returns the path of the module.
///
/// # Errors
/// If cargo cannot be started, or the engine does not compile.
pub fn compile(workspace: &Path, target: &Path) -> Result<PathBuf, Failure> {
    ensure_target(workspace);
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace).args([
        "rustc",
        "--package",
        "tessera-guest",
        "--lib",
        "--crate-type",
        "cdylib",
    ]);
    cargo
        .args([
            "--profile",
            PROFILE,
            "--target",
            TARGET,
            "--locked",
            "--target-dir",
        ])
        .arg(target);
    clear_environment(&mut cargo);
    // Unlike RUSTFLAGS, this variable allows spaces in a path.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(workspace)?.join("\u{1f}"));
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!("cannot compile the component: cargo ended with {status}").into());
    }
    Ok(target.join(TARGET).join(PROFILE).join("tessera_guest.wasm"))
}

/// Removes the machine's own settings, such as another linker, other flags, or clippy instead of the compiler.
fn clear_environment(cargo: &mut Command) {
    for (name, _) in env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let foreign = name == "RUSTFLAGS"
            || name == "CARGO_ENCODED_RUSTFLAGS"
            || name == "CLIPPY_ARGS"
            || name == "RUSTC"
            || name == "RUSTDOC"
            || (name.starts_with("RUSTC_") && name.ends_with("WRAPPER"))
            || name.starts_with("CARGO_BUILD_")
            || name.starts_with("CARGO_PROFILE_")
            || name.starts_with("CARGO_FEATURE_")
            || name.starts_with("CARGO_CFG_")
            || name == "CARGO_TARGET_DIR";
        if foreign {
            cargo.env_remove(name);
        }
    }
}

/// Returns the compiler flags. They contain no paths of this machine, so that every machine produces the same bytes.
fn flags(workspace: &Path) -> Result<Vec<String>, Failure> {
    let mut flags = vec![
        // The small implementation of SHA-256: runtimes without their own compiler refuse a function as long as the fast one,
        // and have no vector instructions.
        "--cfg=sha2_backend_soft=\"compact\"".to_owned(),
        format!("-Clink-arg=-zstack-size={STACK_BYTES}"),
        // Otherwise the linker pads every address to five bytes, a tenth of the module.
        "-Clink-arg=--compress-relocations".to_owned(),
        // A third of the threshold of opt-level `s`. A lower one makes the module no smaller, a higher one no faster.
        "-Cllvm-args=-inline-threshold=15".to_owned(),
    ];
    let mut remap =
        |from: PathBuf, to: &str| flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    remap(workspace.to_owned(), "/tessera");
    if let Some(home) = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
    {
        // The registry's directory is named after its address. All become the same path.
        let sources = home.join("registry").join("src");
        for registry in fs::read_dir(&sources).into_iter().flatten().flatten() {
            remap(registry.path(), "/registry");
        }
    }
    let rustc = Command::new("rustc")
        .current_dir(workspace)
        .args(["--print", "sysroot"])
        .output()?;
    remap(PathBuf::from(String::from_utf8(rustc.stdout)?.trim()), "/rust");
    Ok(flags)
}

/// Installs the target if it is missing. `rust-toolchain.toml` names it, but rustup's auto-install may be off.
fn ensure_target(workspace: &Path) {
    let installed = |path: PathBuf| path.join("lib/rustlib").join(TARGET).join("lib").is_dir();
    let sysroot = Command::new("rustc")
        .current_dir(workspace)
        .args(["--print", "sysroot"])
        .output();
    if sysroot.is_ok_and(|output| installed(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))) {
        return;
    }
    // If this fails, the compiler reports the missing target.
    let _ = Command::new("rustup")
        .current_dir(workspace)
        .args(["target", "add", TARGET])
        .status();
}
