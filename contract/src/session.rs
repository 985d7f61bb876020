//! What hosts report of sessions and tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Timestamp, Value};

/// Where a session's handle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Never saved: nothing is stored.
    Draft,
    /// Stored, as far as is known.
    Live,
    /// Destroyed, revoked or found ended.
    Closed,
}

/// What is known of a session without asking the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Where the handle stands.
    pub status: Status,
    /// A hash of the session id, fit for logs and pages; empty for a draft.
    pub public_id: String,
    /// Whom the session stands for.
    pub subject: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the subject last authenticated (login or step-up).
    pub authenticated_at: Option<Timestamp>,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
    /// When it ends however much it is used.
    pub ends_at: Timestamp,
    /// The counter of the token's generation.
    pub generation: u32,
    /// Whether `touch` would write: to slide the idle expiry or to confirm a renewed token.
    pub touch_due: bool,
    /// Whether `save` would renew the token.
    pub renew_due: bool,
    /// Whether the token, a JWT, is past half of its life.
    pub reissue_due: bool,
    /// Whether there are changes to save.
    pub modified: bool,
}

impl Details {
    /// Those of a session that was never saved and has no changes: without a public id, every moment 0.
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

    /// Whether the subject authenticated within this time before `now`, as a step-up asks.
    pub fn authenticated_within(&self, age: Duration, now: Timestamp) -> bool {
        self.authenticated_at
            .is_some_and(|at| at.saturating_add(age) > now)
    }
}

/// What a write hands back for the client.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token to hand out, if the client needs another than it has.
    pub token: Option<String>,
    /// When the session ends unless it is used.
    pub expires_at: Timestamp,
    /// When the session ends however much it is used.
    pub ends_at: Timestamp,
}

// A token is a login; it never reaches a log.
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

/// What a token says of itself, its mac and dates checked, no store asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// A hash of the session id, fit for logs and pages.
    pub public_id: String,
    /// The counter of the token's generation.
    pub generation: u32,
    /// When it was made.
    pub issued_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// JWT only: whom it stands for.
    pub subject: Option<String>,
    /// JWT only: the `data` claim.
    pub data: BTreeMap<String, String>,
}

/// One session of a subject, as a page "your devices" shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSummary {
    /// A hash of the session id, by which it can be revoked.
    pub public_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its subject last authenticated.
    pub authenticated_at: Timestamp,
    /// When it was last written or touched.
    pub last_seen_at: Timestamp,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
    /// When it ends however much it is used.
    pub ends_at: Timestamp,
    /// Whether it is the session the caller named.
    pub current: bool,
    /// Those of the policy's `public_fields` that it has.
    pub fields: BTreeMap<String, Value>,
}

/// One page of a subject's sessions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionPage {
    /// The live ones; may be none although more pages follow.
    pub items: Vec<SessionSummary>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// Which stored fields outlive an authentication. Fields set since the session was opened always do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeepFields {
    /// None: the safe choice at a login.
    #[default]
    Nothing,
    /// All: for a step-up of the same subject.
    Everything,
    /// Those with these names.
    Named(Vec<String>),
}
