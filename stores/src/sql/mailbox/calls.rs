//! Notifications between nodes over PostgreSQL, with `LISTEN` and `NOTIFY`: a node that has changed mailboxes makes the others
//! poll at once.
//!
//! A notification carries the number of its node and no name, because every user of the database can listen.
//! A transaction that notifies takes a lock of the whole database when it commits.
//! So the notifications are statements of their own, at most one in five milliseconds for each node.
//! A lost notification costs the time until the next poll.

use std::sync::Weak;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::{sleep, timeout};

use super::super::invalidation::listening_pool;
use super::super::retry::Kind;
use super::super::statement::Param;
use super::node::Node;

/// The time in which the changes of a node make one notification.
const COALESCED: Duration = Duration::from_millis(5);
/// The pause before a lost connection is re-established.
const PAUSE: Duration = Duration::from_secs(1);
/// After this time without a notification, the connection may be dead, and is replaced.
const SILENCE: Duration = Duration::from_secs(60);

/// Notifies the other nodes of the changes of this one, until it is dropped.
pub(super) async fn notify(node: Weak<Node>) {
    loop {
        let Some(strong) = node.upgrade() else { return };
        strong.has_changed.notified().await;
        sleep(COALESCED).await;
        let Some(sql) = &strong.store.statements.notify else {
            return;
        };
        let id = strong.id.to_string();
        let params = [
            Param::Bytes(strong.channel.as_bytes()),
            Param::Bytes(id.as_bytes()),
        ];
        let retrier = &strong.store.retrier;
        if let Err(fault) = retrier.ask(retrier.deadline(), Kind::Read, sql, &params).await {
            tracing::debug!(error = %fault.error, "other nodes were not notified of changed mailboxes");
        }
    }
}

/// Makes this node poll when another one has changed mailboxes, until it is dropped.
pub(super) async fn listen(node: Weak<Node>) {
    while let Some(strong) = node.upgrade() {
        let Some(options) = &strong.store.listens_at else {
            return;
        };
        let pool = listening_pool(options, 1, strong.store.retrier.acquire_timeout);
        let (id, channel) = (strong.id.to_string(), strong.channel.clone());
        drop(strong);
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            let listens = timeout(SILENCE, listener.listen(&channel)).await;
            listens.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
            // A receive that was cancelled by the time-out may lose data, so the listener is not used again.
            while let Ok(received) = timeout(SILENCE, listener.try_recv()).await
                && let Some(received) = received?
                && let Some(node) = node.upgrade()
            {
                if received.payload() != id {
                    node.is_called.notify_one();
                }
            }
            Ok::<_, sqlx::Error>(())
        };
        if let Err(error) = listening.await {
            let fault = super::super::dialect::Dialect::judge(&error);
            tracing::debug!(error = %fault.error, "no notifications of changed mailboxes from PostgreSQL");
        }
        sleep(PAUSE).await;
    }
}
