//! Notifications of writes in PostgreSQL, with `LISTEN` and `NOTIFY`.
//! Every user of the database can listen to the channel, so a message contains the place of many keys, and no key.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::SqlStore;
use super::session::Session;
use super::shared::Shared;
use super::statement::Param;
use crate::{InvalidationClock, InvalidationSource, StoreError, Subscription};

/// The pause before a lost connection is re-established.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest time that a write waits for its notification to be sent.
const PATIENCE: Duration = Duration::from_secs(1);
/// Heartbeat interval for detecting a dead LISTEN connection.
const BEAT: Duration = Duration::from_secs(2);
/// After this time without a heartbeat, the connection is considered dead.
const SILENCE: Duration = Duration::from_secs(7);

impl InvalidationSource for SqlStore {
    /// Subscribes in PostgreSQL; `None` in MySQL, and behind a pooler without `direct=URL`.
    ///
    /// Only stores that announce send notifications: this one does from now on, and others do if they subscribe as well or set
    /// [`SqlStoreBuilder::announce`](super::SqlStoreBuilder::announce).
    fn subscribe(&self, clock: Arc<InvalidationClock>) -> Option<Subscription> {
        let has_channel = self.shared.statements.notify.is_some();
        self.shared.announces.store(has_channel, Ordering::Release);
        let Some(options) = &self.shared.listens_at else {
            if has_channel {
                tracing::warn!(
                    "behind a pooler the cache receives no notifications, and sees the writes of other processes only after \
                     max_stale_ms: name the server itself with direct=URL"
                );
            }
            return None;
        };
        let (options, channel) = ((**options).clone(), self.shared.channel.clone());
        let limit = self.shared.retrier.acquire_timeout;
        let store = Arc::downgrade(&self.shared);
        Some(Subscription::new(self.shared.runtime.spawn(async move {
            while store.strong_count() > 0 {
                // One connection listens, the other sends heartbeats: the store's own connections may all be busy.
                let pool = listening_pool(&options, 2, limit);
                let listening = async {
                    let mut listener = PgListener::connect_with(&pool).await?;
                    // Notifications are lost while there is no connection; then every key may have been written.
                    listener.eager_reconnect(false);
                    let listens = timeout(SILENCE, listener.listen(&channel)).await;
                    listens.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
                    clock.advance_all();
                    // A receive that was cancelled by the time-out may lose data, so the listener is not used again.
                    while let Ok(told) = timeout(SILENCE, listener.try_recv()).await
                        && let Some(told) = told?
                    {
                        tell(&clock, told.payload());
                    }
                    Ok::<_, sqlx::Error>(())
                };
                tokio::select! {
                    _ = listening => tracing::warn!("no notifications of writes from PostgreSQL"),
                    () = beat(&store, &pool, &channel) => {}
                }
                clock.advance_all();
                sleep(PAUSE).await;
            }
        })))
    }
}

/// Connections for a listener. Each is checked to be a session of its own, because a pooler does not forward notifications.
pub(super) fn listening_pool(options: &PgConnectOptions, connections: u32, limit: Duration) -> PgPool {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(limit);
    let session = Arc::new(Session::marked(Vec::new()));
    let options = session.options(options);
    let pool = pool.after_connect(move |connection, _| {
        let session = Arc::clone(&session);
        Box::pin(async move { session.open_postgres(connection).await })
    });
    pool.connect_lazy_with(options)
}

/// Sends heartbeats until the store is dropped. A heartbeat that fails is not received, which the listener detects.
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
    /// Notifies other processes that these keys were written, if they were or may have been. A failure is not an error, because
    /// cached entries become stale by themselves after a short time.
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
            tracing::debug!("other processes were not notified of a write");
        }
    }
}
