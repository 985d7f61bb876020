//! The types in which hosts report sessions and tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Timestamp, Value};

/// The status of a session's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Never saved: nothing is stored.
    Draft,
    /// Stored, as far as the host knows.
    Live,
    /// Destroyed, revoked or found ended.
    Closed,
}

/// The known state of a session, without the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The status of the handle.
    pub status: Status,
    /// A hash of the bytes of the session id that renewals keep, safe for logs and pages; empty for a draft.
    pub public_id: String,
    /// The subject of the session, if it has logged in.
    pub subject: Option<String>,
    /// When the session was created.
    pub created_at: Timestamp,
    /// When the subject last authenticated (login or step-up).
    pub authenticated_at: Option<Timestamp>,
    /// Idle expiry: when the session ends unless it is used.
    pub expires_at: Timestamp,
    /// Absolute end of the session, regardless of use.
    pub ends_at: Timestamp,
    /// The counter of the token's generation.
    pub generation: u32,
    /// Whether `touch` would write: to slide the idle expiry or to confirm a renewed token.
    pub touch_due: bool,
    /// Whether `save` would renew the token.
    pub renew_due: bool,
    /// Whether the token is a JWT past half of its lifetime.
    pub reissue_due: bool,
    /// Whether there are unsaved changes.
    pub modified: bool,
}

impl Details {
    /// The details of a draft without changes: no public id, and all timestamps 0.
    pub fn of_draft() -> Self {
        Self {
            status: Status::Draft,
            public_id: String::new(),
            subject: None,
            created_at: Timestamp::default(),
            authenticated_at: None,
            expires_at: Timestamp::default(),
            ends_at: Timestamp::default(),
            generation: 0,
            touch_due: false,
            renew_due: false,
            reissue_due: false,
            modified: false,
        }
    }

    /// Whether the subject authenticated less than `age` before `now`, as a step-up requires.
    pub fn authenticated_within(&self, age: Duration, now: Timestamp) -> bool {
        self.authenticated_at
            .is_some_and(|at| at.saturating_add(age) > now)
    }
}

/// The result of a write that the client needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token to hand out, if the client needs a new one.
    pub token: Option<String>,
    /// Idle expiry: when the session ends unless it is used.
    pub expires_at: Timestamp,
    /// Absolute end of the session, regardless of use.
    pub ends_at: Timestamp,
}

// A token is a credential and must not reach a log.
impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "..");
        f.debug_struct("Grant")
            .field("token", &token)
            .field("expires_at", &self.expires_at)
            .field("ends_at", &self.ends_at)
            .finish()
    }
}

/// The claims of a token whose MAC and dates were checked, without the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// A hash of the bytes of the session id that renewals keep, safe for logs and pages.
    pub public_id: String,
    /// The counter of the token's generation.
    pub generation: u32,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// The token is refused from this moment on.
    pub expires_at: Timestamp,
    /// JWT only: the subject.
    pub subject: Option<String>,
    /// JWT only: the `data` claim.
    pub data: BTreeMap<String, String>,
}

/// One session of a subject, for a page "your devices".
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSummary {
    /// A hash of the bytes of the session id that renewals keep, by which the session can be revoked.
    pub public_id: String,
    /// When the session was created.
    pub created_at: Timestamp,
    /// When the subject last authenticated; the creation where it never did.
    pub authenticated_at: Timestamp,
    /// When the session was last written or touched.
    pub last_seen_at: Timestamp,
    /// Idle expiry: when the session ends unless it is used.
    pub expires_at: Timestamp,
    /// Absolute end of the session, regardless of use.
    pub ends_at: Timestamp,
    /// Whether it is the session that the caller named as its own.
    pub current: bool,
    /// The session's fields that are in the policy's `public_fields`.
    pub fields: BTreeMap<String, Value>,
}

/// The page of a subject's sessions to return. `PageRequest::default()` is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageRequest<'a> {
    /// The public id of the caller's own session, which the list marks as current.
    pub current: Option<&'a str>,
    /// The cursor of the page before ([`SessionPage::next`]), at most 4096 bytes; `None` starts.
    pub cursor: Option<&'a str>,
}

/// One page of a subject's sessions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionPage {
    /// The live sessions of this page; may be empty although more pages follow.
    pub items: Vec<SessionSummary>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// The stored fields that an authentication keeps. Fields set since the session was opened are always kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeepFields {
    /// No stored field: the safe choice at a login.
    #[default]
    Nothing,
    /// All stored fields: for a step-up of the same subject.
    Everything,
    /// The stored fields with these names.
    Named(Vec<String>),
}
