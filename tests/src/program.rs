//! The program `tessera`, built beside the tests, and the directory of the project.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::path::{Path, PathBuf};

/// Returns the path of the program.
///
/// # Panics
/// If the program is not built.
pub fn program() -> PathBuf {
    built("tessera", "tessera-server")
}

/// Returns the path of a program that a package of the workspace builds.
///
/// # Panics
/// If the program is not built.
pub fn built(name: &str, package: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of the tests");
    let program = own.ancestors().nth(2).expect("target/checks/deps").join(name);
    assert!(
        program.exists(),
        "{} is missing: build it with `cargo build --profile checks -p {package}`",
        program.display()
    );
    program
}

/// Returns the directory of the project.
///
/// # Panics
/// If the sources that the tests were built from are gone.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the project's directory")
}
