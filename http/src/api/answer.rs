//! Responses in JSON.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::problem::Problem;

/// The result of a handler.
pub(crate) type Answer = Result<Response, Problem>;

/// A JSON response.
pub(crate) fn answer(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    let text = serde_json::to_string(body).map_err(|error| {
        tracing::error!("cannot serialise a response: {error}");
        Problem::new(500, "other", "the service failed; see its log")
    })?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A JSON response with one member.
pub(super) fn answer_one(name: &str, value: impl Into<Value>) -> Answer {
    answer(StatusCode::OK, &json!({ name: value.into() }))
}
