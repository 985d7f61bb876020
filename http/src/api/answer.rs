//! Answers in JSON.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::problem::Problem;

/// What every handler comes to.
pub(super) type Answer = Result<Response, Problem>;

/// A JSON answer.
pub(super) fn answer(status: StatusCode, body: &impl serde::Serialize) -> Answer {
    let text = serde_json::to_string(body).map_err(|error| {
        tracing::error!("cannot write an answer: {error}");
        Problem::new(500, "other", "the service failed; its log says more")
    })?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A JSON answer of one member.
pub(super) fn answer_one(name: &str, value: impl Into<Value>) -> Answer {
    answer(StatusCode::OK, &json!({ name: value.into() }))
}
