//! Health checks of the service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tessera::http::{Problem, chain};
use tessera::store::{AnyStore, Condition, Expected, Methods, Placement, PlainStore, Store as _, StoreError};
use tessera::{SessionError, Sessions, Timestamp};
use tokio::sync::Mutex;

use super::tasks::Tasks;

/// How long the result of one check of the store is reused.
const FRESHNESS: Duration = Duration::from_secs(1);
/// Lifetime of the entry if it cannot be deleted.
const LIFETIME: Duration = Duration::from_secs(5);
/// Length of the entry, in bytes: that of a page in most stores, because a shorter one may fit where no session does.
const TEXT_BYTES: usize = 4096;
const GUARD: u64 = 0;

/// Checks the store by reading, writing and deleting an entry of its own, at most once a second.
#[derive(Clone)]
pub(super) struct Health(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    store: AnyStore,
    tasks: Tasks,
    /// Shorter than any session's key. It differs between processes, so that no two write the same entry.
    key: String,
    /// Locked during a check; concurrent requests wait for its result.
    last: Arc<Mutex<Option<Look>>>,
}

struct Look {
    at: Instant,
    is_well: bool,
}

impl Health {
    pub(super) fn new(sessions: Sessions, store: AnyStore, tasks: Tasks) -> Self {
        let mut random = [0; 4];
        // Without random bytes, processes share an entry, and a check may occasionally report another process's write.
        let _ = getrandom::fill(&mut random);
        let key = format!("health:{:08x}", u32::from_ne_bytes(random));
        Self(Arc::new(Inner {
            sessions,
            store,
            tasks,
            key,
            last: Arc::default(),
        }))
    }

    async fn is_well(&self) -> bool {
        let mut last = Arc::clone(&self.0.last).lock_owned().await;
        if let Some(look) = last.as_ref().filter(|look| look.at.elapsed() < FRESHNESS) {
            return look.is_well;
        }
        // In a task of its own, because a write in progress must be awaited even if the client disconnects.
        let (health, (done, result)) = (self.clone(), tokio::sync::oneshot::channel());
        self.0.tasks.start(Box::pin(async move {
            let looked = look(&health.0.store, &health.0.key).await;
            if let Err(error) = &looked {
                tracing::error!("the health check of the store failed: {}", chain(error));
            }
            *last = Some(Look {
                at: Instant::now(),
                is_well: looked.is_ok(),
            });
            let _ = done.send(looked.is_ok());
        }));
        // A check that panicked has failed.
        result.await.unwrap_or(false)
    }
}

async fn look(store: &AnyStore, key: &str) -> Result<(), StoreError> {
    let now = Timestamp::now();
    match Methods(store.clone()).get(now, key, true).await {
        Ok(_) | Err(StoreError::Missing) => {}
        Err(error) => return Err(error),
    }
    // A memory store is writable as long as the process lives; an entry in a full one would evict a session.
    if matches!(store.plain(), PlainStore::Memory(_)) {
        return Ok(());
    }
    let store = Methods(store.plain().clone());
    let expires_at = now.saturating_add(LIFETIME);
    let at = Placement {
        owner: None,
        previous_owner: None,
        guard: Some(GUARD),
        expires_at,
        ends_at: expires_at,
    };
    let text = " ".repeat(TEXT_BYTES);
    match store.insert(now, key, &text, &at).await {
        // The previous deletion failed.
        Err(StoreError::Stale) => {
            store
                .replace(now, key, &text, Expected::Guard(GUARD), &at)
                .await?
        }
        written => written?,
    };
    store.delete(now, key, &Condition::Guard(GUARD)).await?;
    Ok(())
}

/// `GET /healthz`: succeeds if the process is up, and the store can be read and written.
pub(super) async fn health(State(health): State<Health>) -> Result<Response, Problem> {
    if !health.is_well().await {
        return Err(SessionError::Unavailable { source: None }.into());
    }
    let body = json!({ "status": "ok", "signing_key": health.0.sessions.signing_key_id() });
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], body.to_string()).into_response())
}
