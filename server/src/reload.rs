//! Loads a changed key file while the service runs.

use std::io;
use std::time::Duration;

use tessera::Sessions;
use tokio::task::spawn_blocking;

use crate::failure::Failure;
use crate::key_ring::{KeyRing, KeySource};

/// The interval at which the file is read.
const INTERVAL: Duration = Duration::from_secs(5);

/// The signal by which operators make a service read its files again.
pub(crate) struct Hangups {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Hangups {
    /// Starts to listen for the signal. Until then SIGHUP ends the process.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}

/// Reads the key file every few seconds, and on SIGHUP. Never returns.
/// A file that cannot be read, or contains no valid ring, changes nothing and is reported once.
pub(crate) async fn watch(source: KeySource, ring: KeyRing, sessions: Sessions, mut hangups: Hangups) {
    let mut current = ring;
    let mut reported = None;
    loop {
        let is_signal = tokio::select! {
            () = hangups.next() => true,
            () = tokio::time::sleep(INTERVAL) => false,
        };
        if matches!(source, KeySource::Variable) {
            if is_signal {
                tracing::warn!(
                    "SIGHUP: the keys come from {}, which is read only at the start",
                    source.name()
                );
            }
            continue;
        }
        let name = source.name();
        match reread(&source, &current, &sessions).await {
            Ok(Some(ring)) => {
                tracing::info!("the key file {name} has changed: {}", ring.describe());
                (current, reported) = (ring, None);
            }
            Ok(None) => {
                if is_signal {
                    tracing::info!("SIGHUP: the key file {name} is unchanged: {}", current.describe());
                }
                reported = None;
            }
            Err(error) => {
                let message = error.to_string();
                if is_signal || reported.as_ref() != Some(&message) {
                    let in_force = current.describe();
                    tracing::error!("the keys stay as they are ({in_force}): {message}");
                }
                reported = Some(message);
            }
        }
    }
}

/// Reads the ring, and activates it if it has changed.
async fn reread(
    source: &KeySource,
    current: &KeyRing,
    sessions: &Sessions,
) -> Result<Option<KeyRing>, Failure> {
    let read = {
        let source = source.clone();
        spawn_blocking(move || source.read_again()).await
    };
    let ring = read.map_err(Failure::during("cannot read the key file"))??;
    if ring.is_same(current) {
        return Ok(None);
    }
    let (sessions, keys) = (sessions.clone(), ring.to_keys());
    let replaced = spawn_blocking(move || sessions.replace_keys(keys)).await;
    replaced
        .map_err(Failure::during("cannot replace the keys"))?
        .map_err(Failure::during(format!(
            "the keys in {} are refused",
            source.name()
        )))?;
    Ok(Some(ring))
}
