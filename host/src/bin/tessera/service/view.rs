//! What is answered of a session. Moments are milliseconds since 1970.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use tessera::{Session, SessionError};

use super::problem::{Problem, answer};

#[derive(Serialize)]
struct View {
    /// Where the client needs another token than it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    reference: String,
    subject: Option<String>,
    created_at: u64,
    authenticated_at: Option<u64>,
    expires_at: u64,
    ends_at: u64,
    generation: u32,
    renew_due: bool,
    fields: Box<RawValue>,
}

/// Answers a session as a handle has it.
pub(super) fn answer_session(
    status: StatusCode,
    session: &Session,
    token: Option<String>,
) -> Result<Response, Problem> {
    let details = session.details()?;
    let fields = RawValue::from_string(session.entries_json()?);
    let fields = fields.map_err(|_| SessionError::Corrupt {
        reason: "the fields are not JSON".into(),
    })?;
    let view = View {
        token,
        reference: details.reference,
        subject: details.subject,
        created_at: details.created_at.as_millis(),
        authenticated_at: details.authenticated_at.map(|at| at.as_millis()),
        expires_at: details.expires_at.as_millis(),
        ends_at: details.ends_at.as_millis(),
        generation: details.generation,
        renew_due: details.renew_due,
        fields,
    };
    answer(status, &view)
}
