//! The stores that an adapter opens by itself: the store suite, and all scenarios over them.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tessera::store::{Capabilities, Methods, StoreService as _, StoreUrl};

use super::kinds::Kind;
use super::{Cell, Language, MANNERS, over};
use crate::adapter::process::ProcessStore;
use crate::servers::{MariaDb, Postgres, RedisServer, Server};
use crate::store_suite::{Outcome, Suite};
use crate::whole;

/// The servers of the stores, which start when they are needed.
#[derive(Default)]
pub struct Servers {
    files: OnceCell<TempDir>,
    redis: OnceCell<RedisServer>,
    postgres: OnceCell<Postgres>,
    mariadb: OnceCell<MariaDb>,
}

/// Makes a URL of a new store for each number.
type Urls = Box<dyn Fn(usize) -> String + Sync>;

impl Servers {
    fn urls(&self, kind: Kind) -> Result<Urls, String> {
        Ok(match kind {
            Kind::Memory => Box::new(|_| "memory:".to_owned()),
            Kind::Own => Box::new(|_| "own:".to_owned()),
            Kind::Sqlite => {
                let path = match self.files.get() {
                    Some(files) => files.path(),
                    None => {
                        let files = TempDir::new().map_err(|error| error.to_string())?;
                        self.files.get_or_init(|| files).path()
                    }
                };
                let path = path.display().to_string();
                Box::new(move |number| format!("sqlite:{path}/{number}.db"))
            }
            Kind::Redis => prefixed(self.redis.get_or_init(|| RedisServer::start(&[])).url(), "prefix"),
            Kind::Postgres => prefixed(self.postgres.get_or_init(Postgres::start).url(), "table"),
            Kind::MariaDb => prefixed(self.mariadb.get_or_init(MariaDb::start).url(), "table"),
        })
    }
}

impl Servers {
    /// Returns the URL of a new store.
    ///
    /// # Errors
    /// If its server cannot be started.
    pub fn url(&self, kind: Kind) -> Result<String, String> {
        Ok(self.urls(kind)?(STORES.fetch_add(1, Ordering::Relaxed)))
    }
}

/// URLs that differ in one parameter.
fn prefixed(url: String, parameter: &'static str) -> Urls {
    let and = if url.contains('?') { '&' } else { '?' };
    Box::new(move |number| format!("{url}{and}{parameter}=c{number}"))
}

/// Numbers of stores, unique in this process.
static STORES: AtomicUsize = AtomicUsize::new(0);

/// Checks the store suite over a store that the adapter opens. `None`: the language has no store of this kind.
///
/// # Errors
/// If the adapter or a server cannot be started.
pub fn suite(language: &Language, servers: &Servers, kind: Kind) -> Result<Option<Cell>, String> {
    if !language.has(kind) {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let (process, urls) = (language.start()?, servers.urls(kind)?);
    let next = || urls(STORES.fetch_add(1, Ordering::Relaxed));
    runtime.block_on(async {
        let url = next();
        let promised = ProcessStore::open(&process, &url).await?.describe();
        if let Some(lacking) = lacking(kind, &url, &promised).await? {
            return Ok(Some(Cell::failed(lacking)));
        }
        let make = async || {
            let opened = ProcessStore::open(&process, &next()).await;
            #[expect(clippy::expect_used, reason = "a store of this kind has just been opened")]
            Methods(opened.expect("a store"))
        };
        let report = Suite::new(make).run().await;
        let failures = report.lines.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Failed(seen) => Some(format!("{name}: {seen}")),
            _ => None,
        });
        let mut failures: Vec<String> = failures.collect();
        failures.extend(process.check().err());
        let passed = report.lines.len() - report.skipped().count();
        Ok(Some(Cell::of(passed, failures)))
    })
}

/// Compares the promises of a store with those of the same store of the Rust host, because the suite skips what is not promised.
///
/// An own store has none beside it. It promises all that the suite needs to skip nothing but limits of its own.
async fn lacking(kind: Kind, url: &str, promised: &Capabilities) -> Result<Option<String>, String> {
    if kind == Kind::Own {
        let promises_all = promised.compare_and_swap && promised.list_by_owner;
        return Ok((!promises_all).then(|| format!("the store promises only {promised:?}")));
    }
    let native: StoreUrl = url.parse().map_err(|error| whole(&error))?;
    let native = native.open().await.map_err(|error| whole(&error))?.describe();
    let differs = || format!("the store promises {promised:?}, in the Rust host {native:?}");
    Ok((*promised != native).then(differs))
}

/// Runs all scenarios over a store that the adapter opens; the runner's faults are in front of it. `None`: the language has no
/// store of this kind.
///
/// # Errors
/// If the adapter or a server cannot be started.
pub fn scenarios_over(language: &Language, servers: &Servers, kind: Kind) -> Result<Option<Cell>, String> {
    if !language.has(kind) {
        return Ok(None);
    }
    let urls = servers.urls(kind)?;
    over(language, MANNERS[1].1, async |process| {
        ProcessStore::open(process, &urls(STORES.fetch_add(1, Ordering::Relaxed))).await
    })
    .map(Some)
}
