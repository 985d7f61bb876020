//! What the service answers: JSON, or a problem (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub(super) use tessera::http::Problem;

/// A JSON answer.
pub(super) fn answer(status: StatusCode, body: &impl serde::Serialize) -> Result<Response, Problem> {
    let text = serde_json::to_string(body).map_err(|error| {
        tracing::error!("cannot write an answer: {error}");
        Problem::new(500, "other", "the service failed; its log says more")
    })?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A JSON answer of one member.
pub(super) fn answer_one(name: &str, value: impl Into<Value>) -> Result<Response, Problem> {
    answer(StatusCode::OK, &json!({ name: value.into() }))
}
