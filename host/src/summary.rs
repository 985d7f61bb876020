//! What is told of sessions and tokens.

use std::time::Duration;

use crate::Value;
use crate::driver::wit;
use crate::time::Timestamp;
use crate::value;

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
#[non_exhaustive]
pub struct Details {
    /// Where the handle stands.
    pub status: Status,
    /// A hash of the session id, fit for logs and pages; empty for a draft.
    pub reference: String,
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
    pub(crate) fn from_wit(details: wit::Details) -> Self {
        Self {
            status: match details.status {
                wit::Status::Draft => Status::Draft,
                wit::Status::Live => Status::Live,
                wit::Status::Closed => Status::Closed,
            },
            reference: details.reference,
            subject: details.subject,
            created_at: Timestamp::from_millis(details.created_at),
            authenticated_at: details.authenticated_at.map(Timestamp::from_millis),
            expires_at: Timestamp::from_millis(details.expires_at),
            ends_at: Timestamp::from_millis(details.ends_at),
            generation: details.generation,
            touch_due: details.touch_due,
            renew_due: details.renew_due,
            reissue_due: details.reissue_due,
            modified: details.modified,
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
#[non_exhaustive]
pub struct Grant {
    /// The token to hand out, if the client needs another than it has.
    pub token: Option<String>,
    /// When the session ends unless it is used.
    pub expires_at: Timestamp,
    /// When the session ends however much it is used.
    pub ends_at: Timestamp,
}

impl Grant {
    pub(crate) fn from_wit(grant: wit::Grant) -> Self {
        let wit::Grant {
            token,
            expires_at,
            ends_at,
        } = grant;
        let (expires_at, ends_at) = (
            Timestamp::from_millis(expires_at),
            Timestamp::from_millis(ends_at),
        );
        Self {
            token,
            expires_at,
            ends_at,
        }
    }
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
#[non_exhaustive]
pub struct Claims {
    /// A hash of the session id, fit for logs and pages.
    pub reference: String,
    /// The counter of the token's generation.
    pub generation: u32,
    /// When it was made.
    pub issued_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// JWT only: whom it stands for.
    pub subject: Option<String>,
    /// JWT only: the `data` claim.
    pub data: Vec<(String, String)>,
}

impl Claims {
    pub(crate) fn from_wit(claims: wit::Claims) -> Self {
        Self {
            reference: claims.reference,
            generation: claims.generation,
            issued_at: Timestamp::from_millis(claims.issued_at),
            expires_at: Timestamp::from_millis(claims.expires_at),
            subject: claims.subject,
            data: claims.data,
        }
    }
}

/// One session of a subject, as a page "your devices" shows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionSummary {
    /// A hash of the session id; [`Sessions::revoke`](crate::Sessions::revoke) takes it.
    pub reference: String,
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
    pub fields: Vec<(String, Value)>,
}

/// One page of a subject's sessions.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionPage {
    /// The live ones; may be none although more pages follow.
    pub items: Vec<SessionSummary>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

impl SessionPage {
    pub(crate) fn from_wit(page: wit::Summaries) -> Self {
        let item = |item: wit::Summary| SessionSummary {
            reference: item.reference,
            created_at: Timestamp::from_millis(item.created_at),
            authenticated_at: Timestamp::from_millis(item.authenticated_at),
            last_seen_at: Timestamp::from_millis(item.last_seen_at),
            expires_at: Timestamp::from_millis(item.expires_at),
            ends_at: Timestamp::from_millis(item.ends_at),
            current: item.current,
            fields: item
                .fields
                .into_iter()
                .map(|field| (field.name, value::from_wit(field.value)))
                .collect(),
        };
        Self {
            items: page.items.into_iter().map(item).collect(),
            next: page.next,
        }
    }
}

/// Which stored fields outlive an authentication. Fields set since the session was opened always do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Survivors {
    /// None: the safe choice at a login.
    #[default]
    Nothing,
    /// All: for a step-up of the same subject.
    Everything,
    /// Those with these names.
    Named(Vec<String>),
}

impl Survivors {
    pub(crate) fn to_wit(&self) -> wit::Survivors {
        match self {
            Self::Nothing => wit::Survivors::Nothing,
            Self::Everything => wit::Survivors::Everything,
            Self::Named(names) => wit::Survivors::Named(names.clone()),
        }
    }
}
