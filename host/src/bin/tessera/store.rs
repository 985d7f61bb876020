//! The store as flags.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, ValueEnum};
use tessera::store::{AnyStore, Durability, SqliteStore, StoreUrl, StoreUrlError};

use crate::{Failure, files};

/// Where everything lies that the service keeps.
#[derive(Args, Clone)]
pub(crate) struct DataFlags {
    /// The directory for the keys and the SQLite file
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = "./tessera-data",
        env = "TESSERA_DATA"
    )]
    data: PathBuf,
    /// The store: memory:, sqlite:PATH, redis://USER:PASSWORD@HOST:PORT, redis+cluster://HOST,HOST or
    /// redis+sentinel://HOST,HOST/MASTER [default: sqlite:<data>/sessions.db]
    ///
    /// Over TLS: rediss://, rediss+cluster://, rediss+sentinel://. Options follow a `?`, as in ?prefix=shop:&db=2;
    /// what is special in a password is written as % and two digits. A flag is seen by every user of the
    /// machine: put a URL with a password into TESSERA_STORE.
    #[arg(long, value_name = "URL", value_parser = UrlParser, env = "TESSERA_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
}

/// Refuses a URL as a wrong flag is, and does not repeat it as clap does: it may hold a password.
#[derive(Clone)]
struct UrlParser;

impl TypedValueParser for UrlParser {
    type Value = StoreUrl;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<StoreUrl, clap::Error> {
        let refuse = |why: String| {
            let message = format!("invalid value for '--store <URL>': {why}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        };
        let text = value.to_str().ok_or_else(|| refuse("it is not UTF-8".into()))?;
        text.parse()
            .map_err(|error: StoreUrlError| refuse(error.to_string()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityFlag {
    /// Sync before a write is acknowledged: it survives the loss of power.
    PowerLoss,
    /// An acknowledged write survives a killed process; the loss of power may take the last moments back.
    ProcessCrash,
}

impl From<DurabilityFlag> for Durability {
    fn from(flag: DurabilityFlag) -> Self {
        match flag {
            DurabilityFlag::PowerLoss => Self::PowerLoss,
            DurabilityFlag::ProcessCrash => Self::ProcessCrash,
        }
    }
}

impl DataFlags {
    pub(crate) fn directory(&self) -> &Path {
        &self.data
    }

    pub(crate) fn url(&self) -> StoreUrl {
        self.store
            .clone()
            .unwrap_or_else(|| StoreUrl::Sqlite(self.data.join("sessions.db")))
    }

    /// Opens the store for the service, and makes it where there is none.
    pub(crate) async fn open_or_make(&self, durability: Durability) -> Result<AnyStore, Failure> {
        let url = self.url();
        let doing = format!("cannot open the store {url}");
        if let StoreUrl::Sqlite(path) = &url {
            if self.store.is_none() {
                files::make_directory(&self.data)?;
            }
            let store = SqliteStore::builder().durability(durability).open(path);
            return store.map(Into::into).map_err(Failure::during(doing));
        }
        url.open().await.map_err(Failure::during(doing))
    }

    /// Opens a store that other processes use as well, and makes none.
    pub(crate) async fn open_shared(&self) -> Result<AnyStore, Failure> {
        match self.url() {
            StoreUrl::Sqlite(_) => self.open_file().map(Into::into),
            StoreUrl::Memory => Err(memory()),
            url => {
                let doing = format!("cannot open the store {url}");
                url.open().await.map_err(Failure::during(doing))
            }
        }
    }

    /// Opens a store that can be walked from end to end, which is one in a file.
    pub(crate) fn open_file(&self) -> Result<SqliteStore, Failure> {
        match self.url() {
            StoreUrl::Sqlite(path) if !path.exists() => {
                Err(Failure::new(format!("there is no file {}", path.display())))
            }
            StoreUrl::Sqlite(path) => {
                let doing = format!("cannot open the store {}", path.display());
                SqliteStore::open(path).map_err(Failure::during(doing))
            }
            StoreUrl::Memory => Err(memory()),
            _ => Err(Failure::new(
                "only a store in a SQLite file is read from end to end: name a subject, as in `list --subject alice`",
            )),
        }
    }
}

fn memory() -> Failure {
    Failure::new("a memory store lives in the server's own process: nobody else can look into it")
}
