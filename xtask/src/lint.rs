//! Runs clippy over everything and denies warnings.

use crate::cargo::{ALL, CHECKS, RELEASE, cargo, cargo_command, ensure_target, run};

/// Runs clippy over everything that [`build`](crate::cargo::build) builds.
pub(crate) fn clippy() -> Result<(), String> {
    let lints = ["--all-targets", "--", "--deny", "warnings"];
    cargo("clippy", &[&["clippy", CHECKS, "--locked"], ALL, &lints].concat())
}

/// The documentation of all crates, links within it included.
fn documentation() -> Result<(), String> {
    let mut doc = cargo_command();
    doc.env("RUSTDOCFLAGS", "--deny warnings")
        .args(["doc", CHECKS, "--locked", "--no-deps"])
        .args(ALL);
    run("documentation", &mut doc)
}

/// `cargo xtask lint`: clippy over all workspaces, targets and combinations of features.
pub(crate) fn lint() -> Result<(), String> {
    ensure_target();
    clippy()?;
    documentation()?;
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
    // Compiled for benchmarks alone: here their locks are compared with the manifests that they depend on.
    for manifest in ["tests/peers/Cargo.toml", "tests/peers/stores/Cargo.toml"] {
        cargo(
            "locks of the benchmarks",
            &[
                "update",
                "--workspace",
                "--locked",
                "--quiet",
                "--manifest-path",
                manifest,
            ],
        )?;
    }
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
    // The program with its own features only, as it is installed.
    let program = ["--package", "tessera-server", "--", "--deny", "warnings"];
    cargo(
        "clippy, the program alone",
        &[&["clippy", CHECKS, "--locked"], &program[..]].concat(),
    )?;
    // The library with the features that users choose: with their own store, with middleware, with one store.
    for features in ["", "http", "cache", "redis", "sql"] {
        let library = ["--package", "tessera-session", "--lib", "--features"];
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
