//! The store as flags.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
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
    /// The store: memory:, sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE
    /// [default: sqlite:<data>/sessions.db]. With a password, better in TESSERA_STORE: flags are in the list of processes
    #[arg(long, value_name = "URL", value_parser = parse_url, env = "TESSERA_STORE", hide_env_values = true)]
    store: Option<GivenUrl>,
}

/// A URL, or why it is none. clap would quote it with the reason, password and all.
#[derive(Clone)]
struct GivenUrl(Result<StoreUrl, String>);

fn parse_url(text: &str) -> Result<GivenUrl, Infallible> {
    let url = text.parse();
    Ok(GivenUrl(url.map_err(|error: StoreUrlError| error.to_string())))
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

    pub(crate) fn url(&self) -> Result<StoreUrl, Failure> {
        match &self.store {
            None => Ok(StoreUrl::Sqlite(self.data.join("sessions.db"))),
            Some(GivenUrl(Ok(url))) => Ok(url.clone()),
            Some(GivenUrl(Err(reason))) => {
                Err(Failure::new(format!("the URL of the store is refused: {reason}")))
            }
        }
    }

    /// Opens the store for the service, and makes it where there is none.
    pub(crate) async fn open_or_make(&self, durability: Durability) -> Result<AnyStore, Failure> {
        let url = self.url()?;
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

    /// Opens a store that other processes use as well, and makes no file.
    pub(crate) async fn open_shared(&self) -> Result<AnyStore, Failure> {
        let url = self.url()?;
        let doing = format!("cannot open the store {url}");
        match url {
            StoreUrl::Sqlite(ref path) if !path.exists() => {
                Err(Failure::new(format!("there is no file {}", path.display())))
            }
            StoreUrl::Sqlite(_) | StoreUrl::Sql(_) => url.open().await.map_err(Failure::during(doing)),
            _ => Err(Failure::new(
                "a memory store lives in the server's own process: nobody else can look into it",
            )),
        }
    }
}
