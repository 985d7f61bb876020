//! The types that clients, the model and the judge share: calls, their results, and sessions of the model.

use std::collections::{BTreeMap, BTreeSet};

/// The part of a policy that the model implements.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The time for which the previous generation is accepted after the first use of a renewed one, in milliseconds.
    pub grace: u64,
    /// The maximum number of sessions of a subject.
    pub cap: Option<usize>,
    /// Whether the oldest session beyond the cap is ended; otherwise the newest is refused.
    pub evicts: bool,
    /// Whether a theft signal ends the session.
    pub reuse_ends: bool,
}

/// A session in the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Session {
    pub subject: Option<String>,
    pub fields: BTreeMap<String, String>,
    pub authenticated_at: Option<u64>,
    pub current: u32,
    pub previous: Option<u32>,
    pub floor: u32,
    pub confirmed_at: Option<u64>,
    /// The handle that wrote last. It is not compared with the store.
    pub writer: Option<usize>,
}

/// All sessions, by key.
pub type World = BTreeMap<String, Session>;

impl Session {
    /// The number of changes of the generations since `before`, if no login came in between.
    pub fn changes_since(&self, before: &Self) -> u32 {
        let changes = |session: &Self| 2 * session.current + u32::from(session.confirmed_at.is_some());
        changes(self).saturating_sub(changes(before))
    }

    /// The session that a login of a visitor without a session creates.
    pub fn logged_in(subject: &str, fields: &BTreeMap<String, String>, now: u64, writer: usize) -> Self {
        Self {
            subject: Some(subject.to_owned()),
            fields: fields.clone(),
            authenticated_at: Some(now),
            current: 1,
            previous: None,
            floor: 1,
            confirmed_at: Some(now),
            writer: Some(writer),
        }
    }
}

/// A client's state of an open session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The generation of the token that opened it, or that its login created.
    pub generation: u32,
    /// The session's subject at that time.
    pub subject: Option<String>,
    /// Whether it is a draft that was never stored, as far as the client knows.
    pub draft: bool,
    /// Whether a call that stores the draft ended without a result for the client.
    pub tried: bool,
}

impl Handle {
    /// The handle of a session that a token of this generation opened, or that issued this generation.
    pub fn on(session: &Session, generation: u32) -> Self {
        Self {
            generation,
            subject: session.subject.clone(),
            draft: false,
            tried: false,
        }
    }
}

impl Default for Handle {
    fn default() -> Self {
        Self {
            generation: 0,
            subject: None,
            draft: true,
            tried: false,
        }
    }
}

/// One call of a client. `handle` is the number of the handle that the client opened or created.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "as in the API")]
pub enum Call {
    Open {
        handle: usize,
        key: String,
        generation: u32,
    },
    Save {
        handle: usize,
        key: String,
        fields: BTreeMap<String, String>,
    },
    Rotate {
        handle: usize,
        key: String,
    },
    Touch {
        handle: usize,
        key: String,
    },
    Login {
        handle: usize,
        key: String,
        subject: String,
        fields: BTreeMap<String, String>,
    },
    Destroy {
        handle: usize,
        key: String,
    },
    Revoke {
        key: String,
        subject: String,
    },
    RevokeAll {
        subject: String,
    },
}

impl Call {
    /// The key of its session.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Open { key, .. }
            | Self::Save { key, .. }
            | Self::Rotate { key, .. }
            | Self::Touch { key, .. }
            | Self::Login { key, .. }
            | Self::Destroy { key, .. }
            | Self::Revoke { key, .. } => Some(key),
            Self::RevokeAll { .. } => None,
        }
    }

    /// The handle that it uses or creates.
    pub fn handle(&self) -> Option<usize> {
        match self {
            Self::Open { handle, .. }
            | Self::Save { handle, .. }
            | Self::Rotate { handle, .. }
            | Self::Touch { handle, .. }
            | Self::Login { handle, .. }
            | Self::Destroy { handle, .. } => Some(*handle),
            Self::Revoke { .. } | Self::RevokeAll { .. } => None,
        }
    }
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "as in the API")]
pub enum Told {
    Opened {
        subject: Option<String>,
        fields: BTreeMap<String, String>,
    },
    Done,
    /// Done, with a token of this generation.
    Token(u32),
    Missing,
    Replaced,
    Reused,
    TooMany,
    /// Nothing was done, because eight tries met other writes.
    Contended,
    /// Nothing was done.
    Unavailable,
    /// Nothing was done, and the handle was lost with its instance.
    InstanceLost,
    /// The call may have taken effect, in part or completely.
    Unknown,
    /// Any other result.
    Odd(String),
}

/// The status of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Accepted.
    Current,
    /// Accepted, and the current token is issued again.
    Unconfirmed,
    /// Accepted.
    Grace,
    /// Refused as a theft signal.
    Reused,
    /// Refused.
    Replaced,
}

/// The progress of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// No step was taken yet.
    Begun,
    /// A login is written, and the subject's sessions are not counted yet.
    Written(u32),
    /// A login must still end these sessions beyond the cap, as they were ranked, except those with a later login.
    Evicting(u32, Vec<(String, Session)>),
    /// A theft signal is decided, and its session is not ended yet.
    Ending,
    /// A revocation is in progress.
    Revoking {
        /// The sessions that existed when it began, which it must end.
        must: BTreeSet<String>,
        /// The subject's sessions since then, which it may end.
        may: BTreeSet<String>,
    },
    /// The call has ended with this result.
    Ended(Told),
}
