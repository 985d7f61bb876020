//! Measures every store, in comparison with bare reads and writes on its server and with `tower-sessions`.

use std::path::Path;

use crate::cargo::{cargo, example, root};
use crate::programs;

/// Builds the peer's program, which is in a separate workspace, and runs the benchmark that drives it.
pub(crate) fn bench(names: &[String]) -> Result<(), String> {
    programs::ensure()?;
    let target = root().join("target/peers");
    let text = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or("the path of the project is not Unicode")
    };
    cargo(
        "the peer's stores",
        &[
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            &text(&root().join("tests/peers/stores/Cargo.toml"))?,
            "--target-dir",
            &text(&target)?,
        ],
    )?;
    let peer = text(&target.join("release/tessera-peer-stores"))?;
    example("stores", &[&[peer], names].concat())
}
