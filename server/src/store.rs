//! The store as flags.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, ValueEnum};
use tessera::store::{
    AnyStore, Durability, PlainStore, PlainUrl, SqlStore, SqliteStore, StoreUrl, StoreUrlError,
};

use crate::failure::Failure;
use crate::files;

/// The service's default directory for its files.
pub(crate) const DATA_DIRECTORY: &str = "./tessera-data";

/// The location of the service's data.
#[derive(Args, Clone)]
pub(crate) struct DataFlags {
    /// The directory for the keys and the SQLite file
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = DATA_DIRECTORY,
        env = "TESSERA_DATA"
    )]
    data: PathBuf,
    /// The store: memory:, sqlite:PATH, redis://USER:PASSWORD@HOST:PORT, redis+cluster://HOST,HOST,
    /// redis+sentinel://HOST,HOST/MASTER, postgres://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE
    /// [default: sqlite:<data>/sessions.db]
    ///
    /// Redis over TLS: rediss://, rediss+cluster://, rediss+sentinel://. Options follow a `?`, as in ?prefix=shop:&db=2.
    /// Special characters in a password are percent-encoded. The prefix cached+ adds a cache in the process, as in
    /// cached+redis://HOST. Every user of the machine can read flags: put a URL with a password into TESSERA_STORE.
    #[arg(long, value_name = "URL", value_parser = UrlParser, env = "TESSERA_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
}

/// Refuses a URL like an invalid flag, but does not repeat it as clap does, because it may contain a password.
#[derive(Clone)]
pub(crate) struct UrlParser;

impl TypedValueParser for UrlParser {
    type Value = StoreUrl;

    fn parse_ref(
        &self,
        command: &Command,
        flag: Option<&Arg>,
        value: &OsStr,
    ) -> Result<StoreUrl, clap::Error> {
        let refuse = |why: String| {
            let flag = flag.map_or_else(|| "URL".to_owned(), ToString::to_string);
            let message = format!("invalid value for '{flag}': {why}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        };
        let text = value.to_str().ok_or_else(|| refuse("it is not UTF-8".into()))?;
        text.parse()
            .map_err(|error: StoreUrlError| refuse(error.to_string()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityFlag {
    /// Sync before a write is acknowledged, so that it survives power loss.
    PowerLoss,
    /// An acknowledged write survives a crash of the process; power loss may undo the last moments.
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
            .unwrap_or_else(|| PlainUrl::Sqlite(self.data.join("sessions.db")).into())
    }

    /// Opens the store for the service, and creates it if it does not exist.
    pub(crate) async fn open_or_make(&self, durability: Durability) -> Result<AnyStore, Failure> {
        let url = self.url();
        let doing = format!("cannot open the store {url}");
        if self.store.is_none() {
            files::make_directory(&self.data)?;
        }
        let plain = match url.plain() {
            PlainUrl::Sqlite(path) => {
                let store = SqliteStore::builder().durability(durability).open(path);
                store.map(Into::into).map_err(Failure::during(doing))?
            }
            other => other.open().await.map_err(Failure::during(doing))?,
        };
        Ok(match url {
            StoreUrl::Cached(url) => AnyStore::Cached(url.in_front_of(plain)),
            _ => plain.into(),
        })
    }

    /// Opens the store for a command beside the service: without a cache, and without creating a file.
    pub(crate) async fn open_shared(&self) -> Result<PlainStore, Failure> {
        open_shared(&self.url()).await
    }

    /// Opens the store for a command that only reads.
    pub(crate) async fn open_to_read(&self) -> Result<PlainStore, Failure> {
        open_to_read(&self.url()).await
    }
}

/// Opens a store that others use as well, without a cache, and without creating a file.
pub(crate) async fn open_shared(url: &StoreUrl) -> Result<PlainStore, Failure> {
    let doing = format!("cannot open the store {url}");
    match url.plain() {
        PlainUrl::Sqlite(path) if !path.exists() => {
            Err(Failure::new(format!("there is no file {}", path.display())))
        }
        PlainUrl::Memory => Err(in_another_process()),
        _ => open_plain(url).await.map_err(Failure::during(doing)),
    }
}

/// Opens a store that others write to, with read access only.
pub(crate) async fn open_to_read(url: &StoreUrl) -> Result<PlainStore, Failure> {
    let doing = format!("cannot open the store {url}");
    match url.plain() {
        PlainUrl::Sqlite(path) if !path.exists() => {
            Err(Failure::new(format!("there is no file {}", path.display())))
        }
        PlainUrl::Memory => Err(in_another_process()),
        plain => plain.open_to_read().await.map_err(Failure::during(doing)),
    }
}

fn in_another_process() -> Failure {
    Failure::new("a memory store lives in the server's own process, and no other process can open it")
}

/// Opens a store without its cache. If services have a cache, writes are announced to them.
pub(crate) async fn open_plain(url: &StoreUrl) -> Result<PlainStore, StoreUrlError> {
    match (url, url.plain()) {
        (StoreUrl::Cached(_), PlainUrl::Sql(url)) => {
            Ok(SqlStore::builder().announce(true).open_at(url).await?.into())
        }
        (_, url) => url.open().await,
    }
}
