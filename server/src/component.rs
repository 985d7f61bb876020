//! `tessera component`: the engine that is embedded in this program.

use std::fs;
use std::path::PathBuf;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::{say, say_bytes};

#[derive(Subcommand)]
pub(crate) enum Component {
    /// Print the component's imports and exports, in WIT.
    Wit,
    /// Print the SHA-256 of the component.
    Sha256,
    /// Write the component to a file; `-` is standard output.
    Export {
        /// The file to write.
        path: PathBuf,
    },
}

impl Component {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Wit => say(&tessera::Component::wit()),
            Self::Sha256 => say(&format!("{}\n", tessera::Component::sha256())),
            Self::Export { path } if path.as_os_str() == "-" => say_bytes(tessera::Component::bytes()),
            Self::Export { path } => {
                let written = fs::write(&path, tessera::Component::bytes());
                written.map_err(Failure::during(format!("cannot write {}", path.display())))
            }
        }
    }
}
