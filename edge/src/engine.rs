//! The engine of `tessera-http`, over the component's `flat` interface.

use std::sync::Arc;
use std::time::Duration;

use tessera_http::{
    Claims, Engine, EngineSession as _, Limits, SessionPage, SessionSummary, Timestamp, Value,
};
use worker::send::SendWrapper;

use crate::boxed::boxed;
use crate::clock;
use crate::driver::{CallError, Driver, Known, wit};
use crate::fault::EdgeError;
use crate::session::EdgeSession;

/// Makes and opens sessions. An isolate has one; it holds nothing of any request.
#[derive(Clone)]
pub(crate) struct EdgeEngine {
    // A Worker has one thread.
    driver: Arc<SendWrapper<Driver>>,
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
        Timestamp::from_millis(clock::now())
    }

    fn limits(&self) -> Limits {
        self.driver.limits()
    }

    fn create(&self) -> Result<EdgeSession, EdgeError> {
        Ok(EdgeSession::draft(self.clone()))
    }

    async fn open(&self, token: &str) -> Result<EdgeSession, EdgeError> {
        boxed(EdgeSession::open(self.clone(), token.to_owned())).await
    }

    fn verify(&self, token: &str, max_age: Option<Duration>) -> Result<Claims, EdgeError> {
        let max_age = max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX).to_string());
        let claims: wit::Claims = self
            .driver
            .at_once("verify", &(token, max_age), &mut Known::default())?;
        Ok(Claims {
            reference: claims.reference,
            generation: claims.generation,
            issued_at: claims.issued_at.into(),
            expires_at: claims.expires_at.into(),
            subject: claims.subject,
            data: claims.data.into_iter().collect(),
        })
    }

    async fn list(
        &self,
        subject: &str,
        current: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<SessionPage, EdgeError> {
        boxed(async move {
            let arguments = (subject, current, cursor);
            let page: wit::Summaries = self
                .driver
                .run("list-sessions", &arguments, &mut Known::default())
                .await?;
            Ok(SessionPage {
                items: page.items.into_iter().map(summary).collect(),
                next: page.next,
            })
        })
        .await
    }

    async fn revoke(&self, subject: &str, reference: &str) -> Result<bool, EdgeError> {
        boxed(async move {
            let mut cursor: Option<String> = None;
            loop {
                let arguments = (subject, reference, &cursor);
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
            Ok(self.revoke_each(&subject, Some(&details.reference)).await?)
        })
        .await
    }
}

fn summary(summary: wit::Summary) -> SessionSummary {
    SessionSummary {
        reference: summary.reference,
        created_at: summary.created_at.into(),
        authenticated_at: summary.authenticated_at.into(),
        last_seen_at: summary.last_seen_at.into(),
        expires_at: summary.expires_at.into(),
        ends_at: summary.ends_at.into(),
        current: summary.current,
        fields: summary
            .fields
            .into_iter()
            .map(|field| (field.name, value_from(field.value)))
            .collect(),
    }
}

/// A value as the engine hands it over.
pub(crate) fn value_from(value: wit::Value) -> Value {
    match value {
        wit::Value::Null => Value::Null,
        wit::Value::Boolean(value) => Value::Boolean(value),
        // The engine's own digits; what is none would be no integer of its.
        wit::Value::Integer(digits) => digits.parse().map_or(Value::Null, Value::Integer),
        wit::Value::Float(value) => Value::Float(value),
        wit::Value::Text(value) => Value::Text(value),
        wit::Value::Bytes(value) => Value::Bytes(value),
        wit::Value::Json(value) => Value::Json(value),
    }
}

/// A value as the engine takes it.
pub(crate) fn value_into(value: Value) -> wit::Value {
    match value {
        Value::Null => wit::Value::Null,
        Value::Boolean(value) => wit::Value::Boolean(value),
        Value::Integer(value) => wit::Value::Integer(value.to_string()),
        Value::Float(value) => wit::Value::Float(value),
        Value::Text(value) => wit::Value::Text(value),
        Value::Bytes(value) => wit::Value::Bytes(value),
        Value::Json(value) => wit::Value::Json(value),
    }
}
