//! The JSON view of a session. Timestamps are milliseconds since 1970.

use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{Answer, answer};
use crate::engine::EngineSession;
use crate::problem::Problem;
use tessera_contract::Timestamp;

#[derive(Serialize)]
struct View {
    /// Present if the client must replace its token by this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    public_id: String,
    subject: Option<String>,
    created_at: Timestamp,
    authenticated_at: Option<Timestamp>,
    expires_at: Timestamp,
    ends_at: Timestamp,
    generation: u32,
    renew_due: bool,
    fields: Box<RawValue>,
}

/// The response with a session in its present state.
pub(super) fn answer_session(
    status: StatusCode,
    session: &impl EngineSession,
    token: Option<String>,
) -> Answer {
    let details = session.details().map_err(|error| Problem::of(&error))?;
    let fields = session.entries_json().map_err(|error| Problem::of(&error))?;
    let fields = RawValue::from_string(fields).map_err(|_| {
        tracing::error!("the fields that the engine has written are not JSON");
        Problem::new(500, "other", "the service failed; see its log")
    })?;
    let view = View {
        token,
        public_id: details.public_id,
        subject: details.subject,
        created_at: details.created_at,
        authenticated_at: details.authenticated_at,
        expires_at: details.expires_at,
        ends_at: details.ends_at,
        generation: details.generation,
        renew_due: details.renew_due,
        fields,
    };
    answer(status, &view)
}
