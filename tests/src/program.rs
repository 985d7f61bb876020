//! The program `tessera`, built beside the tests, and the directory of the project.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::path::{Path, PathBuf};

/// Returns the path of the program.
///
/// # Panics
/// If the program is not built.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().expect("the path of the tests");
    let program = own
        .ancestors()
        .nth(2)
        .expect("target/checks/deps")
        .join("tessera");
    assert!(
        program.exists(),
        "{} is missing: build it with `cargo build --profile checks -p tessera-server`",
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
