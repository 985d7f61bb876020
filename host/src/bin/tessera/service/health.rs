//! Whether the service can do its work.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tessera::http::{Problem, chain};
use tessera::store::{AnyStore, Store as _, StoreError};
use tessera::{SessionError, Timestamp};

/// No session's key is this short; asking for it is one look into the store's index.
const KEY: &str = "health";

/// `GET /healthz`: the process is up, and the store can be read.
pub(super) async fn health(State(store): State<Arc<AnyStore>>) -> Result<Response, Problem> {
    match store.get(Timestamp::now(), KEY, true).await {
        Ok(_) | Err(StoreError::Missing) => {
            let headers = [(header::CONTENT_TYPE, "application/json")];
            Ok((headers, r#"{"status":"ok"}"#).into_response())
        }
        Err(error) => {
            tracing::error!("the store is out of reach: {}", chain(&error));
            Err(SessionError::Unavailable { source: None }.into())
        }
    }
}
