//! Implements the engine trait of `tessera-http` over the component.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tessera_contract::form;
use tessera_contract::state::StateError;
use tessera_http::{
    Claims, Engine, EngineSession as _, Limits, PageRequest, SessionPage, SessionSummary, Timestamp, Value,
};
use worker::send::SendWrapper;

use crate::boxed::boxed;
use crate::clock;
use crate::driver::{CallError, Driver, Known, SharedDriver, wit};
use crate::error::EdgeError;
use crate::session::EdgeSession;

/// Creates and opens sessions. An isolate has one for each driver; it holds no state of a request.
#[derive(Clone)]
pub(crate) struct EdgeEngine {
    driver: SharedDriver,
}

impl std::fmt::Debug for EdgeEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeEngine").finish_non_exhaustive()
    }
}

impl EdgeEngine {
    pub(crate) fn new(driver: Driver) -> Self {
        Self {
            driver: Arc::new(SendWrapper::new(driver)),
        }
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Returns until when the session of a handle lives unless it is used. Its record is read fresh.
    pub(crate) async fn standing(&self, handle: &str) -> Result<Timestamp, EdgeError> {
        let until: wit::Moment = self
            .driver
            .run("standing", &(handle,), &mut Known::default())
            .await?;
        Ok(until.0)
    }

    async fn revoke_each(&self, subject: &str, except: Option<&str>) -> Result<u64, CallError> {
        let (mut cursor, mut ended): (Option<String>, u64) = (None, 0);
        loop {
            let arguments = (subject, except, &cursor);
            let progress: wit::Progress = self
                .driver
                .run("revoke-all", &arguments, &mut Known::default())
                .await?;
            ended += u64::from(progress.ended);
            if progress.next.is_none() {
                return Ok(ended);
            }
            cursor = progress.next;
        }
    }
}

impl Engine for EdgeEngine {
    type Session = EdgeSession;
    type Error = EdgeError;

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.driver, &other.driver)
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn limits(&self) -> Limits {
        let terms = self.driver.terms();
        Limits {
            maximum_token_bytes: terms.maximum_token_bytes,
            maximum_name_bytes: terms.fields.maximum_name_bytes,
            maximum_record_bytes: terms.fields.maximum_record_bytes,
            maximum_fields: terms.fields.maximum_fields,
        }
    }

    fn create(&self) -> EdgeSession {
        EdgeSession::draft(Arc::clone(&self.driver))
    }

    async fn open(&self, token: &str) -> Result<EdgeSession, EdgeError> {
        boxed(EdgeSession::open(Arc::clone(&self.driver), token)).await
    }

    fn verify(&self, token: &str, max_age: Option<Duration>) -> Result<Claims, EdgeError> {
        let max_age = max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX).to_string());
        let claims: wit::Claims = self
            .driver
            .at_once("verify", &(token, max_age), &mut Known::default())?;
        Ok(Claims {
            public_id: claims.public_id,
            generation: claims.generation,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            subject: claims.subject,
            data: claims.data.into_iter().collect(),
        })
    }

    async fn list(&self, subject: &str, page: PageRequest<'_>) -> Result<SessionPage, EdgeError> {
        boxed(async move {
            let arguments = (subject, page.current, page.cursor);
            let page: wit::Summaries = self
                .driver
                .run("list-sessions", &arguments, &mut Known::default())
                .await?;
            let items: Result<_, EdgeError> = page.items.into_iter().map(summary).collect();
            Ok(SessionPage {
                items: items?,
                next: page.next,
            })
        })
        .await
    }

    async fn revoke(&self, subject: &str, public_id: &str) -> Result<bool, EdgeError> {
        boxed(async move {
            let mut cursor: Option<String> = None;
            loop {
                let arguments = (subject, public_id, &cursor);
                let progress: wit::Progress = self
                    .driver
                    .run("revoke", &arguments, &mut Known::default())
                    .await?;
                if progress.next.is_none() || progress.ended > 0 {
                    return Ok(progress.ended > 0);
                }
                cursor = progress.next;
            }
        })
        .await
    }

    async fn revoke_all(&self, subject: &str) -> Result<u64, EdgeError> {
        boxed(async move { Ok(self.revoke_each(subject, None).await?) }).await
    }

    async fn revoke_others(&self, session: &EdgeSession) -> Result<u64, EdgeError> {
        let details = session.details();
        boxed(async move {
            let details = details?;
            let subject = details.subject.ok_or(EdgeError::SubjectRequired)?;
            Ok(self.revoke_each(&subject, Some(&details.public_id)).await?)
        })
        .await
    }
}

fn summary(summary: wit::Summary) -> Result<SessionSummary, EdgeError> {
    Ok(SessionSummary {
        public_id: summary.public_id,
        created_at: summary.created_at,
        authenticated_at: summary.authenticated_at,
        last_seen_at: summary.last_seen_at,
        expires_at: summary.expires_at,
        ends_at: summary.ends_at,
        current: summary.current,
        fields: fields(&summary.fields)?,
    })
}

/// Reads a JSON object of fields in the engine's encoding.
fn fields(text: &str) -> Result<BTreeMap<String, Value>, EdgeError> {
    let fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(text).map_err(CallError::Unreadable)?;
    let read = |(name, raw): (String, Box<RawValue>)| {
        let value = form::decode(raw.get()).ok_or(StateError::Corrupt)?;
        Ok((name, value))
    };
    fields.into_iter().map(read).collect()
}
