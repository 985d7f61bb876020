//! Every store's figures, beside its server's own and beside `tower-sessions`.

use std::path::Path;

use crate::cargo::{cargo, ensure_target, example, root};
use crate::programs;

/// Builds the peer's program, a workspace of its own, and drives it from ours.
pub(crate) fn bench(names: &[String]) -> Result<(), String> {
    programs::ensure()?;
    ensure_target();
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
