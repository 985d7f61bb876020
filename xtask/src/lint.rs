//! clippy over everything, warnings denied.

use crate::cargo::{ALL, CHECKS, RELEASE, cargo, ensure_target};

/// Over all that [`build`] builds.
pub(crate) fn clippy() -> Result<(), String> {
    let lints = ["--all-targets", "--", "--deny", "warnings"];
    cargo("clippy", &[&["clippy", CHECKS, "--locked"], ALL, &lints].concat())
}

pub(crate) fn lint() -> Result<(), String> {
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
