//! The program `tessera`, built beside the tests.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::path::PathBuf;

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
