//! What every call is meant to answer where one client calls after the other: maps of fields, and no text of a record.

use std::collections::BTreeMap;

use tessera::{ReuseRule, Status, TokenFormat, Value};

use super::plan::{Rules, Shown};
use super::told::Told;

pub(crate) const TOKEN_BYTES: usize = 1024;

pub(crate) fn refuse<T>(why: &str) -> Result<T, Told> {
    Err(Told::Refused(why.to_owned()))
}

/// A field as it was set.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) text: String,
}

/// By what the name is in a record, for that orders them.
pub(crate) type Fields = BTreeMap<String, Field>;
pub(crate) type Overlay = BTreeMap<String, Option<Field>>;

/// Which of a session's tokens is good.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) current: u32,
    pub(crate) previous: Option<u32>,
    pub(crate) floor: u32,
    pub(crate) confirmed: bool,
    pub(crate) subject: Option<String>,
}

/// A record as it was written once.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) head: Head,
    pub(crate) fields: Fields,
    pub(crate) version: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Draft,
    Live {
        record: usize,
        /// What the changes were made on.
        base: Snapshot,
        /// What the handle's calls read or wrote last.
        seed: Snapshot,
        generation: u32,
    },
    Closed,
}

#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) phase: Phase,
    pub(crate) overlay: Overlay,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) record: usize,
    pub(crate) generation: u32,
}

pub(crate) struct Model {
    pub(crate) rules: Rules,
    /// `None`: ended.
    pub(crate) records: Vec<Option<Snapshot>>,
    pub(crate) handles: Vec<Handle>,
    pub(crate) tokens: Vec<Token>,
    /// Whose session and since which login.
    pub(crate) csrf: Vec<(usize, u32)>,
    pub(crate) version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Current,
    Unconfirmed,
    Grace,
    Reused,
    Replaced,
}

impl Standing {
    pub(crate) fn is_served(self) -> bool {
        matches!(self, Self::Current | Self::Unconfirmed | Self::Grace)
    }
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            records: Vec::new(),
            handles: Vec::new(),
            tokens: Vec::new(),
            csrf: Vec::new(),
            version: 0,
        }
    }

    pub(crate) fn judge(&self, head: &Head, generation: u32) -> Standing {
        match head.previous {
            _ if generation == head.current => Standing::Current,
            _ if generation < head.floor => Standing::Replaced,
            Some(previous) if previous == generation && !head.confirmed => Standing::Unconfirmed,
            Some(previous) if previous == generation && self.rules.graceful => Standing::Grace,
            Some(previous) if generation <= previous => Standing::Reused,
            _ => Standing::Replaced,
        }
    }

    pub(crate) fn is_jwt(&self) -> bool {
        self.rules.format == TokenFormat::Jwt
    }

    /// The token that is meant, if it is one that was handed out; `None` if there is none yet.
    pub(crate) fn shown(&self, shown: &Shown, damage_shows: bool) -> Option<Result<Token, Told>> {
        match shown {
            Shown::Good(at) | Shown::Damaged(at, ..) if self.tokens.is_empty() => {
                let _ = at;
                None
            }
            Shown::Good(at) => Some(Ok(self.tokens[at.index(self.tokens.len())].clone())),
            Shown::Damaged(at, ..) if !damage_shows => {
                Some(Ok(self.tokens[at.index(self.tokens.len())].clone()))
            }
            _ => Some(refuse("token")),
        }
    }

    pub(crate) fn open(&mut self, token: &Token) -> Result<(), Told> {
        let Some(snapshot) = self.records[token.record].clone() else {
            return refuse("missing");
        };
        let standing = self.judge(&snapshot.head, token.generation);
        if standing == Standing::Reused {
            if self.rules.reuse_rule == ReuseRule::EndSession {
                self.records[token.record] = None;
            }
            return refuse("reused");
        }
        if !standing.is_served() {
            return refuse("replaced");
        }
        self.handles.push(Handle {
            phase: Phase::Live {
                record: token.record,
                base: snapshot.clone(),
                seed: snapshot,
                generation: token.generation,
            },
            overlay: Overlay::new(),
        });
        Ok(())
    }

    pub(crate) fn details(&self, at: usize) -> Told {
        let handle = &self.handles[at];
        let (status, generation, subject, touch_due) = match &handle.phase {
            Phase::Draft => (Status::Draft, 0, None, false),
            Phase::Closed => (Status::Closed, 0, None, false),
            Phase::Live { seed, generation, .. } => {
                let unconfirmed = *generation == seed.head.current && !seed.head.confirmed;
                (Status::Live, *generation, seed.head.subject.clone(), unconfirmed)
            }
        };
        let modified = !handle.overlay.is_empty();
        Told::Stands {
            status,
            generation,
            subject,
            modified,
            touch_due,
        }
    }

    /// The sessions of a subject that live.
    pub(crate) fn of(&self, subject: &str) -> Vec<usize> {
        let is_theirs = |record: &usize| {
            let snapshot = self.records[*record].as_ref();
            snapshot.is_some_and(|snapshot| snapshot.head.subject.as_deref() == Some(subject))
        };
        (0..self.records.len()).filter(is_theirs).collect()
    }
}
