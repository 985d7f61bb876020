//! PostgreSQL tells what is written: `LISTEN` and `NOTIFY`. What goes over the channel, which every user of the database may
//! hear, is a place of many keys and no key.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::SqlStore;
use super::session::Session;
use super::shared::Shared;
use super::statement::Param;
use crate::{InvalidationClock, InvalidationSource, StoreError, Subscription};

/// The pause before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a write waits until others are told of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Heartbeat interval for detecting a dead LISTEN connection.
const BEAT: Duration = Duration::from_secs(2);
/// After so long without hearing that, the connection is taken to be dead.
const SILENCE: Duration = Duration::from_secs(7);

impl InvalidationSource for SqlStore {
    /// In PostgreSQL, and of what is written by stores that announce: this one does from now on; others if they listen as
    /// well, or by [`SqlStoreBuilder::announce`](super::SqlStoreBuilder::announce).
    fn subscribe(&self, clock: Arc<InvalidationClock>) -> Option<Subscription> {
        let has_channel = self.shared.statements.notify.is_some();
        self.shared.announces.store(has_channel, Ordering::Release);
        let Some(options) = &self.shared.listens_at else {
            if has_channel {
                tracing::warn!(
                    "behind a pooler no writes of other processes are told to the cache: they are seen after max_stale_ms; \
                     name the server itself with direct=URL"
                );
            }
            return None;
        };
        let (options, channel) = ((**options).clone(), self.shared.channel.clone());
        let limit = self.shared.retrier.acquire_timeout;
        let store = Arc::downgrade(&self.shared);
        Some(Subscription::new(self.shared.runtime.spawn(async move {
            while store.strong_count() > 0 {
                // One to listen, one to beat: those of the store may all be busy.
                let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(limit);
                let session = Arc::new(Session::marked(Vec::new()));
                let options = session.options(&options);
                let pool = pool.after_connect(move |connection, _| {
                    let session = Arc::clone(&session);
                    Box::pin(async move { session.open_postgres(connection).await })
                });
                let pool = pool.connect_lazy_with(options);
                let listening = async {
                    let mut listener = PgListener::connect_with(&pool).await?;
                    // What is told while there is no connection is lost; then everything may have been written.
                    listener.eager_reconnect(false);
                    let listens = timeout(SILENCE, listener.listen(&channel)).await;
                    listens.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
                    clock.advance_all();
                    // Cut off in the middle, it is not used again.
                    while let Ok(told) = timeout(SILENCE, listener.try_recv()).await
                        && let Some(told) = told?
                    {
                        tell(&clock, told.payload());
                    }
                    Ok::<_, sqlx::Error>(())
                };
                tokio::select! {
                    _ = listening => tracing::warn!("PostgreSQL does not tell of writes"),
                    () = beat(&store, &pool, &channel) => {}
                }
                clock.advance_all();
                sleep(PAUSE).await;
            }
        })))
    }
}

/// Until the store is gone. A beat that fails is one that is not heard.
async fn beat(store: &Weak<Shared>, pool: &PgPool, channel: &str) {
    while store.strong_count() > 0 {
        sleep(BEAT).await;
        let beat = sqlx::query("SELECT pg_notify($1, '')").bind(channel);
        let _ = timeout(BEAT, beat.execute(pool)).await;
    }
}

fn tell(clock: &InvalidationClock, payload: &str) {
    for place in payload.split(',').filter(|place| !place.is_empty()) {
        match place.parse() {
            Ok(place) => clock.advance(place),
            Err(_) => clock.advance_all(),
        }
    }
}

impl SqlStore {
    /// Tells others that these were written, if they were or may have been. That it cannot be told is no error: what others hold
    /// of it grows too old soon.
    pub(super) async fn tell<T>(
        &self,
        keys: &[&str],
        written: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let may_be_written = matches!(written, Ok(_) | Err(StoreError::OutcomeUnknown(_)));
        if may_be_written && !keys.is_empty() && self.shared.announces.load(Ordering::Acquire) {
            let places: Vec<String> = keys
                .iter()
                .map(|key| InvalidationClock::place(key).to_string())
                .collect();
            self.notify(&places.join(",")).await;
        }
        written
    }

    async fn notify(&self, payload: &str) {
        let Some(sql) = &self.shared.statements.notify else {
            return;
        };
        let params = [
            Param::Bytes(self.shared.channel.as_bytes()),
            Param::Bytes(payload.as_bytes()),
        ];
        let told = timeout(PATIENCE, self.read(sql, &params)).await;
        if !matches!(told, Ok(Ok(_))) {
            tracing::debug!("others were not told of a write");
        }
    }
}
