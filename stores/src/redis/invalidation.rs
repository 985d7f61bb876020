//! Notifications of writes: `CLIENT TRACKING` in broadcasting mode, over a separate connection to each server.
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, RedisError, Value, cmd};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use super::RedisStore;
use super::error::cause;
use super::shared::Shared;
use super::wire::timed_out;
use crate::{InvalidationClock, InvalidationSource, Subscription};

/// The interval at which each server is pinged and the list of servers is read.
const ROUND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

impl InvalidationSource for RedisStore {
    fn subscribe(&self, clock: Arc<InvalidationClock>) -> Option<Subscription> {
        let store = Arc::downgrade(&self.shared);
        let (pushed, mut pushes) = unbounded_channel();
        let names = format!("{}record:", self.shared.prefix);
        Some(Subscription::new(tokio::spawn(async move {
            let telling = async {
                while let Some(push) = pushes.recv().await {
                    tell(&clock, &names, push);
                }
            };
            let going_round = async {
                let mut open = Open::default();
                while let Some(store) = Weak::upgrade(&store) {
                    round(&store, &mut open, &names, &pushed, &clock).await;
                    drop(store);
                    sleep(ROUND).await;
                }
            };
            tokio::select! {
                () = telling => {}
                () = going_round => {}
            }
        })))
    }
}

/// One connection to each server, by its name.
#[derive(Default)]
struct Open {
    connections: HashMap<String, MultiplexedConnection>,
    /// The number of the store's own connections at the last round: a new one may lead to another server.
    made: u64,
    is_told: bool,
}

/// Ensures one connection to each server. After a new connection, notifications may have been lost, and every cached entry is
/// stale.
async fn round(
    store: &Shared,
    open: &mut Open,
    names: &str,
    pushed: &UnboundedSender<PushInfo>,
    clock: &InvalidationClock,
) {
    let nodes = match store.link.nodes(Instant::now() + PATIENCE).await {
        Ok(nodes) => nodes,
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "no notifications from Redis: its servers cannot be listed"
            );
            return;
        }
    };
    let made = store.link.made();
    if open.made != made {
        open.made = made;
        open.connections.clear();
    }
    open.connections
        .retain(|name, _| nodes.iter().any(|node| node.name() == name));
    for node in nodes {
        if let Some(connection) = open.connections.get_mut(node.name()) {
            let alive = timeout(PATIENCE, cmd("PING").query_async::<()>(connection)).await;
            if matches!(alive, Ok(Ok(()))) {
                continue;
            }
            open.connections.remove(node.name());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(pushed.clone());
        let tracked = async {
            let mut connection = store.clients.pushing(&node, &config).await?;
            track(&mut connection, names).await?;
            Ok::<_, RedisError>(connection)
        };
        let tracked = timeout(PATIENCE * 2, tracked).await;
        match tracked.unwrap_or_else(|_| Err(timed_out("no answer in time"))) {
            Ok(connection) => {
                open.connections.insert(node.name().to_owned(), connection);
                open.is_told = false;
                clock.advance_all();
            }
            Err(error) if !open.is_told => {
                open.is_told = true;
                tracing::warn!(
                    error = cause(error).get() as &dyn std::error::Error,
                    "no notifications of writes from Redis"
                );
            }
            Err(_) => {}
        }
    }
}

async fn track(connection: &mut MultiplexedConnection, names: &str) -> Result<(), RedisError> {
    let mut command = cmd("CLIENT");
    command.arg(&["TRACKING", "ON", "BCAST", "PREFIX"][..]).arg(names);
    command.query_async(connection).await
}

fn tell(clock: &InvalidationClock, names: &str, push: PushInfo) {
    if push.kind != PushKind::Invalidate {
        return;
    }
    let mut keys = push.data.into_iter();
    match keys.next() {
        Some(Value::Array(keys)) => {
            for key in keys {
                let key: Result<String, _> = redis::from_redis_value(key);
                match key.as_deref().map(|key| key.strip_prefix(names)) {
                    Ok(Some(key)) => clock.advance(InvalidationClock::place(key)),
                    _ => clock.advance_all(),
                }
            }
        }
        // All keys were deleted.
        _ => clock.advance_all(),
    }
}
