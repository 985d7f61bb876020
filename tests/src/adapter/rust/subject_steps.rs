//! Steps on the sessions of a subject: lists and revocations.

use serde_json::Value;
use tessera::{PageRequest, SessionError, Sessions};

use super::RustAdapter;
use crate::adapter::args::Args;
use crate::adapter::outcome::{self, Outcome};

impl RustAdapter {
    pub(super) async fn subject_step(
        &self,
        host: Sessions,
        step: &str,
        mut members: Args,
    ) -> Result<Outcome, String> {
        let answer = match step {
            "list" => list(&host, members).await?,
            "revoke" => {
                let (subject, public_id) = (members.text("subject")?, members.text("public-id")?);
                members.finish()?;
                host.revoke(&subject, &public_id).await.map(Value::from)
            }
            "revoke-all" => {
                let subject = members.text("subject")?;
                members.finish()?;
                host.revoke_all(&subject).await.map(Value::from)
            }
            _ => {
                let session = self.0.names.session(&mut members)?;
                members.finish()?;
                host.revoke_others(&session).await.map(Value::from)
            }
        };
        Ok(answer.map_err(|error| outcome::error(&error)))
    }
}

/// Lists the sessions of all pages.
async fn list(host: &Sessions, mut members: Args) -> Result<Result<Value, SessionError>, String> {
    let (subject, current) = (members.text("subject")?, members.optional_text("current")?);
    let mut cursor = members.optional_text("cursor")?;
    members.finish()?;
    let mut items = Vec::new();
    loop {
        let request = PageRequest {
            current: current.as_deref(),
            cursor: cursor.as_deref(),
        };
        let page = match host.list(&subject, request).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        items.extend(page.items.iter().map(outcome::summary));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Ok(items.into()));
        }
    }
}
