//! Whether the service can do its work.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tessera::Timestamp;
use tessera::store::{Store as _, StoreError};

use super::Service;
use super::problem::{Problem, answer_one};
use tessera::http::chain;

/// No session's key is this short; asking for it is one look into the store's index.
const KEY: &str = "health";

/// `GET /healthz`: the process is up, and the store can be read.
pub(super) async fn health(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    match service.store.get(Timestamp::now(), KEY, true).await {
        Ok(_) | Err(StoreError::Missing) => answer_one("status", "ok"),
        Err(error) => {
            tracing::error!("the store is out of reach: {}", chain(&error));
            Err(tessera::SessionError::Unavailable { source: None }.into())
        }
    }
}
