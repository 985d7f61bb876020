//! Installs the programs that tests and benchmarks start and cargo does not build: Debian's packages, and packages from npm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::cargo::root;

/// The programs, each with its Debian package.
const PROGRAMS: [(&str, &str); 13] = [
    ("nginx", "nginx-light"),
    ("caddy", "caddy"),
    ("curl", "curl"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    ("redis-server", "redis-server"),
    ("postgres", "postgresql"),
    ("pgbouncer", "pgbouncer"),
    ("mariadbd", "mariadb-server"),
    ("systemd-analyze", "systemd"),
    ("kill", "procps"),
];

/// Installs everything that is missing.
pub(crate) fn ensure() -> Result<(), String> {
    debian()?;
    npm("examples/mcp-gateway/client")?;
    npm("tests/browser")?;
    npm("edge/tools")
}

/// Installs node and npm if they are missing.
pub(crate) fn node() -> Result<(), String> {
    ensure_one("node", "nodejs")?;
    ensure_one("npm", "npm")
}

/// Installs a package if its program is missing.
pub(crate) fn ensure_one(program: &str, package: &'static str) -> Result<(), String> {
    if is_there(program) {
        return Ok(());
    }
    install(&[package])
}

fn debian() -> Result<(), String> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs Debian packages.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    println!("xtask: installing {}", packages.join(", "));
    let how = ["install", "--quiet", "--yes", "--no-install-recommends"];
    if apt_get(&["update", "--quiet"]) && apt_get(&[&how, packages].concat()) {
        return Ok(());
    }
    let packages = packages.join(", ");
    Err(format!(
        "these packages are required and could not be installed: {packages}; install them with `apt-get install`"
    ))
}

fn is_there(program: &str) -> bool {
    // Some of these directories are often missing from `PATH`.
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin"];
    places.iter().any(|place| Path::new(place).join(program).exists())
        || postgres_versions().any(|place| place.join(program).exists())
        || env::var_os("PATH")
            .is_some_and(|path| env::split_paths(&path).any(|place| place.join(program).exists()))
}

/// The directories of PostgreSQL's programs: Debian has one for each version.
fn postgres_versions() -> impl Iterator<Item = PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions.map(|version| version.path().join("bin"))
}

/// Installs the packages of a directory's lock file, unless that was done already.
pub(crate) fn npm(place: &str) -> Result<(), String> {
    let directory = root().join(place);
    let lock = fs::read(directory.join("package-lock.json")).map_err(|error| error.to_string())?;
    // The lock file of the last installation.
    let note = directory.join("node_modules/.locked");
    if fs::read(&note).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("xtask: npm ci in {place}");
    let status = Command::new("npm")
        .current_dir(&directory)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .status()
        .map_err(|error| format!("npm cannot be started: {error}"))?;
    if !status.success() {
        return Err(format!("npm ci failed in {place}"));
    }
    fs::write(note, lock).map_err(|error| error.to_string())
}

fn apt_get(arguments: &[&str]) -> bool {
    let run = |program: &str, before: &[&str]| {
        Command::new(program)
            .args(before)
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // An installed server must not start by itself.
            .env("RUNLEVEL", "1")
            .status()
            .is_ok_and(|status| status.success())
    };
    let preserve = "--preserve-env=DEBIAN_FRONTEND,RUNLEVEL";
    run("apt-get", &[]) || run("sudo", &["--non-interactive", preserve, "apt-get"])
}
