//! `tessera key`: signing keys.

use std::path::PathBuf;

use clap::Subcommand;

use crate::output::say;
use crate::{Failure, files, secrets};

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a signing key; prints a key file with it unless --file is given.
    ///
    /// The first key of a file signs, all verify. To change keys: put the new one first, restart every server, and take the
    /// old one out once the absolute timeout has passed.
    New {
        /// The key's id, which stands in every token [default: the day and three letters]
        #[arg(long)]
        id: Option<String>,
        /// Make this file with the key
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// Put the key first into the file, which exists: it signs from the next start on
        #[arg(long, requires = "file")]
        prepend: bool,
    },
}

impl Key {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self::New { id, file, prepend } = self;
        let key = secrets::new_key(id)?;
        let Some(path) = file else {
            return say(&secrets::write_keys(&[key])?);
        };
        let id = key.id().to_owned();
        if !prepend {
            files::create_secret(&path, &secrets::write_keys(&[key])?)?;
            return say(&format!("made {} with key {id}\n", path.display()));
        }
        let there = secrets::read_keys(&path)?;
        let there = there.ok_or_else(|| Failure::new(format!("there is no file {}", path.display())))?;
        if there.iter().any(|other| other.id() == id) {
            return Err(Failure::new(format!("{} already has a key {id}", path.display())));
        }
        let mut keys = vec![key];
        keys.extend(there);
        files::replace_secret(&path, &secrets::write_keys(&keys)?)?;
        say(&format!(
            "put key {id} first in {}, before {} more\n",
            path.display(),
            keys.len() - 1
        ))
    }
}
