//! Redis tells what is written: `CLIENT TRACKING` in broadcasting mode, over a connection of its own to each server.
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, RedisError, Value, cmd};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, interval, timeout};

use super::{RedisStore, Shared};
use crate::store::{Announce, Heard, Listening};

/// How often each server is asked whether it is there, and the Cluster which servers it has.
const ROUND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

impl Announce for RedisStore {
    fn announce(&self, heard: Arc<Heard>) -> Option<Listening> {
        let store = Arc::downgrade(&self.shared);
        let (pushed, mut pushes) = unbounded_channel();
        let names = format!("{}record:", self.shared.prefix);
        Some(Listening::new(tokio::spawn(async move {
            let mut rounds = interval(ROUND);
            let mut open = HashMap::new();
            loop {
                tokio::select! {
                    push = pushes.recv() => match push {
                        Some(push) => tell(&heard, &names, push),
                        None => return,
                    },
                    _ = rounds.tick() => {
                        let Some(store) = Weak::upgrade(&store) else { return };
                        // Pushes wait meanwhile, for as long as a server takes to answer.
                        round(&store, &mut open, &names, &pushed, &heard).await;
                    }
                }
            }
        })))
    }
}

/// Sees to it that there is one connection to each server. What is told may have been missed wherever one is new.
async fn round(
    store: &Shared,
    open: &mut HashMap<String, MultiplexedConnection>,
    names: &str,
    pushed: &UnboundedSender<PushInfo>,
    heard: &Heard,
) {
    let nodes = match store.link.nodes(Instant::now() + PATIENCE).await {
        Ok(nodes) => nodes,
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "nothing is heard of Redis"
            );
            return;
        }
    };
    open.retain(|name, _| nodes.iter().any(|node| node.name() == name));
    for node in nodes {
        if let Some(connection) = open.get_mut(node.name()) {
            let alive = timeout(PATIENCE, cmd("PING").query_async::<()>(connection)).await;
            if matches!(alive, Ok(Ok(()))) {
                continue;
            }
            open.remove(node.name());
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
        match timeout(PATIENCE * 2, tracked).await {
            Ok(Ok(connection)) => {
                open.insert(node.name().to_owned(), connection);
                heard.missed();
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Redis does not tell of writes"
                );
            }
            Err(_) => tracing::warn!("Redis does not tell of writes: no answer in time"),
        }
    }
}

async fn track(connection: &mut MultiplexedConnection, names: &str) -> Result<(), RedisError> {
    let mut command = cmd("CLIENT");
    command.arg(&["TRACKING", "ON", "BCAST", "PREFIX"][..]).arg(names);
    command.query_async(connection).await
}

fn tell(heard: &Heard, names: &str, push: PushInfo) {
    if push.kind != PushKind::Invalidate {
        return;
    }
    let mut keys = push.data.into_iter();
    match keys.next() {
        Some(Value::Array(keys)) => {
            for key in keys {
                let key: Result<String, _> = redis::from_redis_value(key);
                match key.as_deref().map(|key| key.strip_prefix(names)) {
                    Ok(Some(key)) => heard.written(Heard::place(key)),
                    _ => heard.missed(),
                }
            }
        }
        // Everything was deleted.
        _ => heard.missed(),
    }
}
