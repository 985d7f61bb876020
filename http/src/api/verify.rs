//! Verification of tokens without the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Api;
use super::answer::{Answer, answer};
use super::members::TokenMembers;
use crate::engine::Engine;
use crate::problem::Problem;
use tessera_contract::Timestamp;

#[derive(Serialize)]
struct View {
    public_id: String,
    generation: u32,
    issued_at: Timestamp,
    expires_at: Timestamp,
    subject: Option<String>,
    data: BTreeMap<String, String>,
}

/// `POST /v1/verify`: checks a token's MAC, dates and age, and returns its claims. The end of its session is not detected.
pub(super) async fn verify<E: Engine>(
    State(api): State<Arc<Api<E>>>,
    TokenMembers(body): TokenMembers,
) -> Answer {
    let mut body = body.only(&["token", "max_age_ms"])?;
    let token: Zeroizing<String> = Zeroizing::new(body.require("token", "a string")?);
    let max_age = body.take_millis("max_age_ms")?.map(Duration::from_millis);
    let claims = api
        .engine
        .verify(&token, max_age)
        .map_err(|error| Problem::of(&error))?;
    let view = View {
        public_id: claims.public_id,
        generation: claims.generation,
        issued_at: claims.issued_at,
        expires_at: claims.expires_at,
        subject: claims.subject,
        data: claims.data,
    };
    answer(StatusCode::OK, &view)
}
