//! An engine for the HTTP side: one session in memory, which any token opens, and which notes what it was asked.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tessera_http::api::read_field;
use tessera_http::{
    Change, Claims, Details, Engine, EngineSession, EngineError, Grant, KeepFields, ErrorKind, Limits, PageRequest, SessionPage,
    Status, Timestamp, Value,
};

/// What was asked of the engine, and what it holds.
#[derive(Debug, Default)]
pub struct Asked {
    /// The token that opened the session.
    pub opened: Option<String>,
    /// What was changed.
    pub changes: Vec<Change>,
    /// Whom the session stands for.
    pub subject: Option<String>,
    /// The fields, as JSON.
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// The engine and its session in one.
#[derive(Clone, Debug, Default)]
pub struct Plain(Arc<Mutex<Asked>>);

impl Plain {
    /// What was asked.
    pub fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap()
    }
}

/// It fails at nothing but at what no target does.
#[derive(Debug)]
pub struct Never;

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed")
    }
}

impl std::error::Error for Never {}

impl EngineError for Never {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Closed
    }

    fn closed() -> Self {
        Self
    }
}

const AT: Timestamp = Timestamp::from_millis(1);
const GRANT: Grant = Grant {
    token: None,
    expires_at: AT,
    ends_at: AT,
};

impl Engine for Plain {
    type Session = Self;
    type Error = Never;

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn limits(&self) -> Limits {
        Limits {
            maximum_token_bytes: 4096,
            maximum_name_bytes: 128,
            maximum_record_bytes: 65_536,
            maximum_fields: 256,
        }
    }

    fn create(&self) -> Self {
        Self::default()
    }

    async fn open(&self, token: &str) -> Result<Self, Never> {
        self.asked().opened = Some(token.to_owned());
        Ok(self.clone())
    }

    /// The token `ts1.t` is a good one.
    fn verify(&self, token: &str, _: Option<Duration>) -> Result<Claims, Never> {
        if token != "ts1.t" {
            return Err(Never);
        }
        Ok(Claims {
            public_id: "r".into(),
            generation: 1,
            issued_at: Timestamp::default(),
            expires_at: AT,
            subject: None,
            data: BTreeMap::new(),
        })
    }

    async fn list(&self, _: &str, _: PageRequest<'_>) -> Result<SessionPage, Never> {
        Ok(SessionPage::default())
    }

    async fn revoke(&self, _: &str, _: &str) -> Result<bool, Never> {
        Ok(false)
    }

    async fn revoke_all(&self, _: &str) -> Result<u64, Never> {
        Ok(0)
    }

    async fn revoke_others(&self, _: &Self) -> Result<u64, Never> {
        Ok(0)
    }
}

impl EngineSession for Plain {
    type Error = Never;

    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Never> {
        let field = self.asked().fields.get(name).cloned();
        field.map(serde_json::from_value).transpose().map_err(|_| Never)
    }

    fn get_value(&self, name: &str) -> Result<Option<Value>, Never> {
        let field = self.asked().fields.get(name).cloned();
        let read = field.map(|field| read_field(&field.to_string()));
        read.transpose().map_err(|_| Never)
    }

    fn set<T: Serialize + ?Sized>(&self, _: &str, _: &T) -> Result<(), Never> {
        Ok(())
    }

    fn update(&self, changes: Vec<Change>) -> Result<(), Never> {
        self.asked().changes = changes;
        Ok(())
    }

    fn remove(&self, _: &str) -> Result<bool, Never> {
        Ok(false)
    }

    fn clear(&self) -> Result<(), Never> {
        Ok(())
    }

    fn entries_json(&self) -> Result<String, Never> {
        Ok("{}".into())
    }

    fn details(&self) -> Result<Details, Never> {
        Ok(Details {
            status: Status::Live,
            public_id: "public_id".into(),
            subject: self.asked().subject.clone(),
            expires_at: AT,
            ends_at: AT,
            generation: 1,
            ..Details::of_draft()
        })
    }

    async fn save(&self) -> Result<Grant, Never> {
        Ok(GRANT)
    }

    async fn rotate(&self) -> Result<Grant, Never> {
        Ok(GRANT)
    }

    async fn authenticate(&self, _: &str, _: &KeepFields) -> Result<Grant, Never> {
        Ok(GRANT)
    }

    async fn reissue(&self) -> Result<Grant, Never> {
        Ok(GRANT)
    }

    async fn touch(&self) -> Result<bool, Never> {
        Ok(false)
    }

    async fn destroy(&self) -> Result<(), Never> {
        Ok(())
    }

    fn csrf_token(&self) -> Result<String, Never> {
        Err(Never)
    }

    fn check_csrf_token(&self, _: &str) -> Result<(), Never> {
        Err(Never)
    }
}

/// Whether two values are the same to the last bit.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

/// Runs what waits for nothing.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}
