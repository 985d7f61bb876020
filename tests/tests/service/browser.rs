//! A real browser goes through the demonstration: `tests/browser/demo.mjs`, in Chromium.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::serve;

#[test]
fn a_browser_signs_in_saves_in_two_tabs_renews_ends_devices_and_logs_out() {
    let (directory, server) = serve(&[]);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        scripts.join("node_modules").exists(),
        "the browser's driver is installed by `cargo xtask test`, or by `npm ci --ignore-scripts` in tests/browser"
    );
    // TESSERA_SCREENSHOTS keeps what is thrown away otherwise.
    let kept = std::env::var_os("TESSERA_SCREENSHOTS");
    let shots = kept.as_deref().map_or(directory.path(), Path::new);
    let output = Command::new("node")
        .arg(scripts.join("demo.mjs"))
        .arg(format!("http://{}/", server.address))
        .arg(shots)
        .stdin(Stdio::null())
        .output()
        .expect("node is installed by `cargo xtask test`");
    let (said, failed) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}{failed}\n{}", server.log());
    println!("{said}");
    for name in [
        "sign-in",
        "signed-in",
        "messages",
        "dark",
        "narrow",
        "revoked",
        "logged-out",
    ] {
        let shot = shots.join(format!("{name}.png"));
        assert!(shot.exists(), "{}", shot.display());
    }
    server.stop();
}
