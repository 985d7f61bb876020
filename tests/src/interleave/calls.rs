//! The words in which clients, the model and the judge speak of what is done and told.

use std::collections::{BTreeMap, BTreeSet};

/// The parts of a policy that the model knows.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long the generation before is served after the first use of a renewed one, in milliseconds.
    pub grace: u64,
    /// How many sessions an owner may have.
    pub cap: Option<usize>,
    /// Beyond the cap the oldest goes; otherwise the newest is refused.
    pub evicts: bool,
    /// A theft signal ends the session.
    pub reuse_ends: bool,
}

/// A session as anybody would draw it on paper.
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
    /// The handle that wrote last; not compared with the store.
    pub writer: Option<usize>,
}

/// All sessions by key.
pub type World = BTreeMap<String, Session>;

impl Session {
    /// How often the generations have changed since they were those of `before`, where no login came in between.
    pub fn changes_since(&self, before: &Self) -> u32 {
        let changes = |session: &Self| 2 * session.current + u32::from(session.confirmed_at.is_some());
        changes(self).saturating_sub(changes(before))
    }

    /// As a login of a visitor without a session makes it.
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

/// What a client holds while it works on a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The generation that it was opened with, or that its login made.
    pub generation: u32,
    /// Whom the session stood for then.
    pub subject: Option<String>,
    /// It was made and never stored, as far as the client knows.
    pub draft: bool,
    /// A call that stored the draft ended and was not heard of.
    pub tried: bool,
}

impl Handle {
    /// Opened on the session with a token of this generation, or given one by it.
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

/// One call of a client. `handle` names what `Open` and `Create` made.
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
    /// The session that it is about.
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

    /// The handle it works on or makes.
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

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "as in the API")]
pub enum Told {
    Opened {
        subject: Option<String>,
        fields: BTreeMap<String, String>,
    },
    Done,
    /// Done, and here is a token of this generation.
    Token(u32),
    Missing,
    Replaced,
    Reused,
    TooMany,
    /// Nothing was done, because others were faster eight times.
    Contended,
    /// Nothing was done.
    Unavailable,
    /// Nothing was done, and the handle is gone with its instance.
    InstanceLost,
    /// Some of it may have been done, or all.
    Unknown,
    /// Nothing of the above.
    Odd(String),
}

/// How a token stands to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Served.
    Current,
    /// Served, and handed the current one again.
    Unconfirmed,
    /// Served.
    Grace,
    /// A theft signal.
    Reused,
    /// Refused.
    Replaced,
}

/// How far a call has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Nothing yet.
    Begun,
    /// A login is written and the owner's sessions are still to be counted.
    Written(u32),
    /// A login's cap: these are still to be ended, each unless it has authenticated since it was ranked as it was then.
    Evicting(u32, Vec<(String, Session)>),
    /// A theft signal is given, and the session still to be ended.
    Ending,
    /// A revocation: what it must end, and what it may.
    Revoking {
        /// All that were there when it began.
        must: BTreeSet<String>,
        /// All that were the subject's since.
        may: BTreeSet<String>,
    },
    /// Ended, and told so.
    Ended(Told),
}
