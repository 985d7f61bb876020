//! The Python package, with the extension module that was built beside the tests.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use crate::program::{built, root};

const PACKAGE: &str = "plugins/python";

/// Returns the command of a Python program that finds the package.
///
/// # Panics
/// If the extension module is not built, or cannot be laid beside the package.
pub fn python(program: &Path) -> Command {
    static LAID: Once = Once::new();
    LAID.call_once(lay);
    let mut python = Command::new("python3");
    python
        .arg(root().join(PACKAGE).join(program))
        .env("PYTHONPATH", root().join(PACKAGE))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// Lays the extension module into the package, unless it is there.
fn lay() {
    let module = built("lib_tessera.so", "tessera-python --lib");
    let place = root().join(PACKAGE).join("tessera/_tessera.abi3.so");
    let module = fs::read(module).expect("the extension module");
    if fs::read(&place).is_ok_and(|laid| laid == module) {
        return;
    }
    // Another process may load it at this moment.
    let beside = place.with_extension(format!("{}", std::process::id()));
    fs::write(&beside, module).expect("a copy of the extension module");
    fs::rename(&beside, &place).expect("the extension module in the package");
}
