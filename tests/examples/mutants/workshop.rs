//! Changes a copy of the engine and builds it as a component.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde::Deserialize;
use tessera::Component;
use tessera_component_build::{PROFILE, TARGET};

/// One change to the engine.
#[derive(Debug, Deserialize)]
pub(crate) struct Mutant {
    /// The change; for a deliberate fault, a description of the fault.
    pub(crate) name: String,
    /// The file, relative to the workspace.
    pub(crate) file: String,
    /// The text to replace, which occurs exactly once in the file.
    pub(crate) find: String,
    /// The replacement.
    pub(crate) replace: String,
}

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The directory in which mutants are built.
pub(crate) struct Workshop {
    workspace: PathBuf,
    copy: PathBuf,
}

impl Workshop {
    /// Copies the sources of the engine.
    pub(crate) fn new() -> Result<Self, Failure> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let copy = workspace.join("target/mutants/engine");
        fs::create_dir_all(&copy)?;
        let manifest = fs::read_to_string(workspace.join("Cargo.toml"))?;
        let alone = manifest.lines().map(|line| match line.split(' ').next() {
            Some("members") => "members = [\"contract\", \"guest\"]\n".to_owned(),
            Some("default-members" | "exclude") => String::new(),
            _ => format!("{line}\n"),
        });
        fs::write(copy.join("Cargo.toml"), alone.collect::<String>())?;
        fs::copy(workspace.join("Cargo.lock"), copy.join("Cargo.lock"))?;
        let workshop = Self { workspace, copy };
        for folder in ["contract", "guest", "wit"] {
            workshop.copy_folder(Path::new(folder))?;
        }
        Ok(workshop)
    }

    fn copy_folder(&self, folder: &Path) -> Result<(), Failure> {
        fs::create_dir_all(self.copy.join(folder))?;
        for entry in fs::read_dir(self.workspace.join(folder))? {
            let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let to = folder.join(name);
            if entry.is_dir() {
                self.copy_folder(&to)?
            } else {
                self.put(&to, &fs::read_to_string(&entry)?)?
            }
        }
        Ok(())
    }

    /// Writes a file of the copy, unless it has this text already: cargo rebuilds by the time of the last change.
    fn put(&self, file: &Path, text: &str) -> Result<(), Failure> {
        let path = self.copy.join(file);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        Ok(fs::write(path, text)?)
    }

    /// Reads a list of mutants, by its name in `tests/mutants` or by an absolute path.
    pub(crate) fn mutants(&self, list: &str) -> Result<Vec<Mutant>, Failure> {
        let text = fs::read_to_string(self.workspace.join("tests/mutants").join(list))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Checks that the text of each mutant occurs exactly once.
    pub(crate) fn check(&self, mutants: &[Mutant]) -> Result<(), Failure> {
        for Mutant { name, file, find, .. } in mutants {
            let places = fs::read_to_string(self.workspace.join(file))?
                .matches(find.as_str())
                .count();
            if places != 1 {
                return Err(format!("the mutant {name:?} fits {places} places in {file}").into());
            }
        }
        Ok(())
    }

    /// Builds the engine with these changes.
    pub(crate) fn component(&self, changes: &[&Mutant]) -> Result<Component, Failure> {
        let built = self.with(changes, Self::build)?;
        let component = tessera_component_build::component(&fs::read(built)?)?;
        Ok(Component::compile(&component)?)
    }

    /// Whether the engine's own tests fail. They test internals that callers do not see.
    pub(crate) fn fails_its_own_tests(&self, mutant: &Mutant) -> Result<bool, Failure> {
        self.with(&[mutant], |workshop| {
            let output = workshop
                .cargo()
                .args(["test", "--quiet", "--lib", "--tests"])
                .args(["--package", "tessera-guest", "--package", "tessera-contract"])
                .arg("--target-dir")
                .arg(workshop.target())
                .output()?;
            Ok(!output.status.success())
        })
    }

    /// Applies changes to the copy, runs `act`, and reverts the changes.
    fn with<T>(
        &self,
        changes: &[&Mutant],
        act: impl FnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut files = BTreeMap::new();
        for Mutant {
            file, find, replace, ..
        } in changes
        {
            if !files.contains_key(file) {
                files.insert(file, fs::read_to_string(self.workspace.join(file))?);
            }
            if let Some(text) = files.get_mut(file) {
                *text = text.replacen(find, replace, 1);
            }
        }
        for (file, text) in &files {
            self.put(Path::new(file), text)?;
        }
        let done = act(self);
        for file in files.keys() {
            self.put(Path::new(file), &fs::read_to_string(self.workspace.join(file))?)?;
        }
        done
    }

    fn target(&self) -> PathBuf {
        self.workspace.join("target/mutants/target")
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.copy);
        for name in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
            cargo.env_remove(name);
        }
        // Mutants may leave code unused.
        cargo.env("RUSTFLAGS", "-Awarnings");
        cargo
    }

    fn build(&self) -> Result<PathBuf, Failure> {
        let target = self.target();
        let mut cargo = self.cargo();
        cargo.args(["rustc", "--quiet", "--package", "tessera-guest", "--lib"]);
        cargo
            .args([
                "--crate-type",
                "cdylib",
                "--profile",
                PROFILE,
                "--target",
                TARGET,
                "--target-dir",
            ])
            .arg(&target);
        // The time of the build matters more here than the size and speed of the result.
        for setting in [
            "lto=\"off\"",
            "codegen-units=16",
            "opt-level=1",
            "incremental=true",
        ] {
            cargo.arg("--config").arg(format!("profile.guest.{setting}"));
        }
        let output = cargo.output()?;
        if !output.status.success() {
            return Err(format!(
                "a mutant does not compile:\n{}",
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        }
        Ok(target.join(TARGET).join(PROFILE).join("tessera_guest.wasm"))
    }
}
