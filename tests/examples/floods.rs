//! Measures a logout, a login and a confirmation while 256 connections save to the same session.
//! `cargo xtask bench-floods [STORE…]`

#![expect(clippy::print_stdout, reason = "a command for the terminal")]

use std::time::Duration;

use tempfile::TempDir;
use tessera::store::{MemoryStore, RedisStore, RedisUrl, SqlStore, SqliteStore, Store};
use tessera_tests::flood::{OwnersCall, meet};
use tessera_tests::servers::{MariaDb, Postgres, RedisServer, Server as _};

const CONNECTIONS: usize = 256;
const ROUNDS: usize = 40;
const STORES: [&str; 5] = ["memory", "sqlite", "redis", "postgres", "mariadb"];

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn measure<S: Store + Clone>(name: &str, store: &S) -> Result<(), Failure> {
    for (call, what) in [
        (OwnersCall::Logout, "logout"),
        (OwnersCall::Login, "login"),
        (OwnersCall::Confirmation, "confirmation"),
    ] {
        let (mut took, mut most, mut refused, mut saved) = (Vec::new(), 0, 0, 0);
        for _ in 0..ROUNDS {
            let met = meet(store, call, CONNECTIONS).await?;
            most = most.max(met.questions.len());
            refused += usize::from(met.ended.is_err());
            saved += met.saved;
            took.push(met.took);
        }
        took.sort_unstable();
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
        println!(
            "{name}: {what}: p50 {:.1} ms, max {:.1} ms; {refused} of {ROUNDS} refused; at most {most} store operations; {} saves before it",
            milliseconds(took[ROUNDS / 2]),
            milliseconds(took[ROUNDS - 1]),
            saved / ROUNDS as u64,
        );
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = named.iter().find(|name| !STORES.contains(&name.as_str())) {
        return Err(format!("unknown store {unknown}; known are {}", STORES.join(", ")).into());
    }
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|named| named == name);
    if is_wanted("memory") {
        measure("memory", &MemoryStore::new()).await?;
    }
    if is_wanted("sqlite") {
        let directory = TempDir::new()?;
        measure(
            "sqlite",
            &SqliteStore::open(directory.path().join("sessions.db"))?,
        )
        .await?;
    }
    if is_wanted("redis") {
        let server = RedisServer::start(&[]);
        let url: RedisUrl = server.url().parse()?;
        measure("redis", &RedisStore::open(&url).await?).await?;
    }
    if is_wanted("postgres") {
        let server = Postgres::start();
        measure("postgres", &SqlStore::open(&server.url()).await?).await?;
    }
    if is_wanted("mariadb") {
        let server = MariaDb::start();
        measure("mariadb", &SqlStore::open(&server.url()).await?).await?;
    }
    Ok(())
}
