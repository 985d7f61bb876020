//! The packages as they would be published: made from this tree, and built in a workspace outside of it.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tessera_tests::program::root;

/// In the order in which they are published.
const PACKAGES: [&str; 7] = [
    "tessera-contract",
    "tessera-connections",
    "tessera-component",
    "tessera-http",
    "tessera-stores",
    "tessera-session",
    "tessera-server",
];

/// All packages have one version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const APP: &str = r#"
use tessera::Sessions;
use tessera::store::{MemoryStore, SqliteStore};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::builder().signing_key("2026-11", [7; 32]).build(MemoryStore::new())?;
    let session = sessions.create();
    session.set("city", "Ulm")?;
    let token = session.save().await?.token.ok_or("no token")?;
    println!("{:?}", sessions.open(&token).await?.get::<String>("city")?);
    let _open = |path: &str| SqliteStore::open(path);
    let _ = tessera::http::SessionLayer::new(sessions);
    Ok(())
}
"#;

/// The features that this workspace's other members give libraries below wasmtime, so that it is not built again.
/// The program needs them for its build too: wasmtime compiles the component there.
const FEATURES: &str = r#"
memchr = "2"
serde_json = { version = "1", features = ["float_roundtrip", "raw_value"] }
semver = { version = "1", default-features = false, features = ["std"] }
wasm-encoder = { version = "*", features = ["wasmparser"] }
wasmparser = { version = "*", default-features = false, features = ["hash-collections"] }
"#;

/// Where cargo keeps what it builds: two folders above the tests.
fn target() -> PathBuf {
    let own = std::env::current_exe().expect("the path of the tests");
    own.ancestors().nth(3).expect("target/checks/deps").to_owned()
}

fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars() {
        // What this test runs under is of this test.
        if name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}:\n{said}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The section of a manifest with this header.
fn section<'a>(manifest: &'a str, header: &str) -> &'a str {
    let (_, section) = manifest.split_once(header).expect("the section");
    section.split_once("\n[").map_or(section, |(section, _)| section)
}

#[test]
fn a_workspace_outside_of_this_one_builds_the_packages_and_runs_a_program_over_them() {
    let (root, place) = (root(), target().join("packages"));
    let outside = place.join("outside");
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(outside.join("app/src")).expect("a folder");
    let mut package = vec!["package", "--no-verify", "--allow-dirty", "--offline", "--locked"];
    package.extend(["--target-dir", text(&place)]);
    package.extend(PACKAGES.iter().flat_map(|name| ["--package", *name]));
    cargo(&root, &package);

    let mut patches = String::new();
    for name in PACKAGES {
        let archive = place.join(format!("package/{name}-{VERSION}.crate"));
        let unpacked = Command::new("tar")
            // With the present time: cargo builds by it, and archives have one from long ago.
            .args(["xzmf", text(&archive), "-C", text(&outside)])
            .status();
        assert!(unpacked.expect("tar runs").success(), "{name}");
        let folder = outside.join(format!("{name}-{VERSION}"));
        assert!(!folder.join("../guest").exists() && folder.join("Cargo.toml").exists());
        patches.push_str(&format!("{name} = {{ path = \"{name}-{VERSION}\" }}\n"));
    }
    // The other suites start this workspace's own program from the same directory.
    let server = outside.join(format!("tessera-server-{VERSION}/Cargo.toml"));
    let renamed = fs::read_to_string(&server).expect("a manifest");
    let renamed = renamed.replace("name = \"tessera\"", "name = \"tessera-packaged\"");
    fs::write(&server, renamed).expect("a manifest");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
    // The profile and the versions of this workspace, so that libraries which it has built are not built again.
    // Only the packages themselves are not optimised: the program runs for a moment.
    let checks = section(&manifest, "[profile.checks]");
    let release = section(&manifest, "[profile.release]");
    let unoptimised: String = ["app"]
        .iter()
        .chain(&PACKAGES)
        .map(|name| format!("[profile.checks.package.{name}]\nopt-level = 0\n"))
        .collect();
    let workspace = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"app\", \"tessera-*\"]\n\n[patch.crates-io]\n{patches}\n\
         [profile.release]{release}\n[profile.checks]{checks}\n{unoptimised}"
    );
    fs::write(outside.join("Cargo.toml"), workspace).expect("a manifest");
    fs::copy(root.join("Cargo.lock"), outside.join("Cargo.lock")).expect("the versions");
    let app = format!(
        "[package]\nname = \"app\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\n\
         tessera = {{ package = \"tessera-session\", version = \"{VERSION}\", features = [\"compile\", \"http\", \"sqlite\"] }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"net\", \"rt-multi-thread\", \"signal\", \"sync\", \"test-util\", \"time\"] }}\n{FEATURES}\n[build-dependencies]{FEATURES}"
    );
    fs::write(outside.join("app/Cargo.toml"), app).expect("a manifest");
    fs::write(outside.join("app/build.rs"), "fn main() {}\n").expect("a program");
    fs::write(outside.join("app/src/main.rs"), APP).expect("a program");

    let target = target();
    let build = ["--offline", "--profile", "checks", "--target-dir", text(&target)];
    cargo(&outside, &[&["build", "--workspace"], &build[..]].concat());
    let printed = cargo(&outside, &[&["run", "--package", "app"], &build[..]].concat());
    assert_eq!(printed, "Some(\"Ulm\")\n");
    let program = target.join("checks/tessera-packaged");
    let shown = Command::new(program).args(["component", "sha256"]).output();
    assert_eq!(
        String::from_utf8_lossy(&shown.expect("the program runs").stdout).trim(),
        tessera::Component::sha256()
    );
}

#[test]
fn no_package_that_is_published_needs_one_that_is_not_and_all_have_a_description() {
    let metadata = cargo(
        &root(),
        &[
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
            "--locked",
        ],
    );
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let is_published = |package: &serde_json::Value| package["publish"].is_null();
    let published: Vec<&str> = packages
        .iter()
        .filter(|package| is_published(package))
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut wanted = PACKAGES.to_vec();
    wanted.sort_unstable();
    let mut found = published.clone();
    found.sort_unstable();
    assert_eq!(found, wanted);
    for package in packages.iter().filter(|package| is_published(package)) {
        let name = package["name"].as_str().expect("a name");
        assert!(
            package["description"].is_string() && package["license"].is_string(),
            "{name}"
        );
        let needs = package["dependencies"].as_array().expect("dependencies");
        for need in needs
            .iter()
            .filter(|need| need["path"].is_string() && need["kind"] != "dev")
        {
            let need = need["name"].as_str().expect("a name");
            assert!(published.contains(&need), "{name} needs {need}");
        }
    }
}
