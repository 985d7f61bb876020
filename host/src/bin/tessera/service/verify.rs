//! Tokens checked without the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Service;
use super::body::Members;
use super::problem::{Problem, answer};

#[derive(Serialize)]
struct View {
    reference: String,
    generation: u32,
    issued_at: u64,
    expires_at: u64,
    subject: Option<String>,
    data: BTreeMap<String, String>,
}

/// `POST /v1/verify`: what a token says, its mac and dates checked. That its session was ended goes unnoticed.
pub(super) async fn verify(State(service): State<Arc<Service>>, body: Members) -> Result<Response, Problem> {
    let mut body = body.only(&["token", "max_age_ms"])?;
    let token: Zeroizing<String> = Zeroizing::new(body.require("token", "a text")?);
    let max_age: Option<u64> = body.take_as("max_age_ms", "a whole number of milliseconds")?;
    let claims = service
        .sessions
        .verify(&token, max_age.map(Duration::from_millis))?;
    let view = View {
        reference: claims.reference,
        generation: claims.generation,
        issued_at: claims.issued_at.as_millis(),
        expires_at: claims.expires_at.as_millis(),
        subject: claims.subject,
        data: claims.data.into_iter().collect(),
    };
    answer(StatusCode::OK, &view)
}
