//! Redis with a cache in the process, which Redis notifies of writes by other processes.
//! `cargo run -p tessera-session --features cache,redis --example redis_with_cache redis://127.0.0.1`
//!
//! `"cached+redis://127.0.0.1".parse::<StoreUrl>()?.open().await?` makes the same of one text.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::time::Duration;

use tessera::Sessions;
use tessera::store::{CachedStore, RedisStore, RedisUrl};

/// An answer is never older than this, also while notifications are lost.
const MAX_STALE: Duration = Duration::from_secs(5);

pub(crate) async fn sessions(url: &str) -> Result<Sessions, Box<dyn std::error::Error>> {
    let url: RedisUrl = url.parse()?;
    let redis = RedisStore::open(&url).await?;
    let cached = CachedStore::new(redis, MAX_STALE).listening();
    let secret = [7; 32]; // Draw 32 random bytes, and keep them secret.
    Ok(Sessions::builder()
        .signing_key("2026-11", secret)
        // A renewed token stays good for as long as an answer may be old.
        .policy(|policy| policy.rotation_grace = 2 * MAX_STALE)
        .build(cached)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("which Redis?")?;
    let sessions = sessions(&url).await?;
    let session = sessions.create();
    session.set("city", "Ulm")?;
    let token = session.save().await?.token.ok_or("a new session has a token")?;
    println!("{:?}", sessions.open(&token).await?.get::<String>("city")?);
    Ok(())
}
