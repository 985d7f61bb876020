//! The languages with an adapter, and the commands that start them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tessera::Component;

use super::kinds::Kind;
use crate::adapter::process::Process;
use crate::program::built;
use crate::python::python;

/// A host with an adapter.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// The name in commands and in the matrix.
    pub name: &'static str,
    command: fn() -> Command,
    /// Whether its adapter opens a store that is written in the language, by the URL `own:`.
    own_store: bool,
}

/// All languages.
pub const LANGUAGES: &[Language] = &[
    Language {
        name: "rust",
        command: rust,
        own_store: false,
    },
    Language {
        name: "python",
        command: || python_adapter("blocking"),
        own_store: true,
    },
    Language {
        name: "python-asyncio",
        command: || python_adapter("asyncio"),
        own_store: true,
    },
];

/// Finds a language by its name.
///
/// # Errors
/// If there is none, with the known names.
pub fn language(name: &str) -> Result<&'static Language, String> {
    let known = LANGUAGES.iter().map(|language| language.name);
    LANGUAGES
        .iter()
        .find(|language| language.name == name)
        .ok_or_else(|| {
            format!(
                "unknown language `{name}`; known are {}",
                known.collect::<Vec<_>>().join(", ")
            )
        })
}

impl Language {
    /// Whether its adapter opens stores of this kind.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        kind != Kind::Own || self.own_store
    }

    /// Starts its adapter.
    ///
    /// # Errors
    /// As [`Process::start`]; if the host has another component than the Rust host.
    pub fn start(&self) -> Result<Arc<Process>, String> {
        let process = Process::start(&mut (self.command)())?;
        let (component, own) = (&process.hello().component, Component::sha256());
        if component != own {
            return Err(format!(
                "the host of {} has the component {component}, not {own}: build it again",
                self.name
            ));
        }
        Ok(process)
    }
}

fn python_adapter(calls: &str) -> Command {
    let mut command = python(Path::new("tests/adapter.py"));
    command.arg(calls);
    command
}

fn rust() -> Command {
    Command::new(built("examples/adapter", "tessera-tests --examples"))
}
