//! `tessera key`: commands for signing keys.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use tessera::Timestamp;

use crate::failure::Failure;
use crate::files::{self, Created};
use crate::key_ring::{KeyRing, KeySource, new_key};
use crate::moment;
use crate::output::{say, table};
use crate::policy::LifetimeFlags;

/// The service's default key file.
const KEY_FILE: &str = "./tessera-data/keys.json";

/// To change the signing key without refusing a token: `add` a key, on every server; `promote` it, on every server;
/// `retire` the old one once no token that it signed can be valid. A running service loads a changed file within seconds,
/// and at once on SIGHUP.
#[derive(Subcommand)]
pub(crate) enum Key {
    /// Create a key file with a new signing key; prints it unless --file is given
    New {
        /// The id of the key, which every token contains [default: the date and three random characters]
        #[arg(long, allow_hyphen_values = true)]
        id: Option<String>,
        /// The file to create
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
    },
    /// Add a new key to a key file; it verifies and does not sign
    ///
    /// Copy the file to every server before the key is promoted on one of them, because a server without the key refuses
    /// the tokens that the key signs.
    Add {
        /// The id of the key, which every token contains [default: the date and three random characters]
        #[arg(long, allow_hyphen_values = true)]
        id: Option<String>,
        /// The key file
        #[arg(long, value_name = "PATH", env = "TESSERA_KEY_FILE", default_value = KEY_FILE)]
        file: PathBuf,
    },
    /// Make a key of a key file the signing key; the previous one continues to verify
    ///
    /// The file records when the previous key stopped signing.
    Promote {
        /// The id of the key
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// The key file
        #[arg(long, value_name = "PATH", env = "TESSERA_KEY_FILE", default_value = KEY_FILE)]
        file: PathBuf,
    },
    /// Remove a key from a key file once no token that it signed can be valid
    ///
    /// Give the timeouts of the service, because a token is valid for at most the absolute timeout. The time counts from
    /// the promotion in this file; if a server received its copy later, wait that much longer.
    Retire {
        /// The id of the key
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// The key file
        #[arg(long, value_name = "PATH", env = "TESSERA_KEY_FILE", default_value = KEY_FILE)]
        file: PathBuf,
        /// Remove the key now, and end the sessions whose tokens it signed
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        lifetime: LifetimeFlags,
    },
    /// List the keys of a key file, without their secrets
    List {
        /// The key file
        #[arg(long, value_name = "PATH", env = "TESSERA_KEY_FILE", default_value = KEY_FILE)]
        file: PathBuf,
    },
}

impl Key {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::New { id, file } => new(id, file),
            Self::Add { id, file } => add(id, &file),
            Self::Promote { id, file } => {
                change(&file, |ring| ring.promote(&id, Timestamp::now()))?;
                let path = file.display();
                say(&format!(
                    "{id} is the signing key in {path}\nCopy the file to every server. Once the old key's tokens have expired: tessera key retire OLD --file {path}\n"
                ))
            }
            Self::Retire {
                id,
                file,
                force,
                lifetime,
            } => {
                let lifetime = if force {
                    None
                } else {
                    Some(lifetime.absolute_timeout()?)
                };
                change(&file, |ring| ring.retire(&id, lifetime, Timestamp::now()))?;
                say(&format!("removed {id} from {}\n", file.display()))
            }
            Self::List { file } => list(file),
        }
    }
}

fn new(id: Option<String>, file: Option<PathBuf>) -> Result<(), Failure> {
    let key = new_key(id)?;
    let id = key.id().to_owned();
    let text = KeyRing::with(key).text()?;
    let Some(path) = file else {
        return say(&text);
    };
    match files::create_secret(&path, &text)? {
        Created::Now => say(&format!("created {} with key {id}\n", path.display())),
        Created::Before => Err(Failure::new(format!(
            "{} exists already: `tessera key add` adds a key to it",
            path.display()
        ))),
    }
}

fn add(id: Option<String>, file: &Path) -> Result<(), Failure> {
    let key = new_key(id)?;
    let id = key.id().to_owned();
    change(file, |ring| ring.add(key))?;
    let path = file.display();
    say(&format!(
        "added {id} to {path}: it verifies\nOnce every server has it: tessera key promote {id} --file {path}\n"
    ))
}

fn list(file: PathBuf) -> Result<(), Failure> {
    let mut rows = vec![vec!["ID".to_owned(), "USE".to_owned(), "SIGNED UNTIL".to_owned()]];
    for (index, ring) in KeySource::File(file).read()?.keys().iter().enumerate() {
        let role = if index == 0 { "signs" } else { "verifies" };
        let until = ring.signed_until.map(moment::show).unwrap_or_default();
        rows.push(vec![
            ring.key.id().escape_debug().to_string(),
            role.to_owned(),
            until,
        ]);
    }
    say(&table(&rows))
}

/// Reads a key file, changes the ring, and replaces the file in one step.
fn change(file: &Path, change: impl FnOnce(&mut KeyRing) -> Result<(), Failure>) -> Result<(), Failure> {
    // Held until the end, so that concurrent commands do not undo each other's changes.
    let _lock = files::lock(file)?;
    let mut ring = KeySource::File(file.to_owned()).read()?;
    change(&mut ring).map_err(Failure::during(format!("cannot change {}", file.display())))?;
    files::replace_secret(file, &ring.text()?)
}
