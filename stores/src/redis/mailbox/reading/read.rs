//! The reads that a server tracks, each of one key.

use std::sync::Arc;

use redis::{Cmd, cmd};
use tessera_connections::Name;

use super::super::super::scripts::Call;
use crate::wakes::Signal;

/// The beginnings of keys.
pub(in super::super) struct Prefixes {
    pub(in super::super) mailboxes: String,
    pub(in super::super) records: String,
}

/// What is read.
#[derive(Clone)]
pub(in super::super) enum Subject {
    Mailbox(Name),
    /// A record with this key, without the beginning of all keys.
    Record(Arc<str>),
}

/// A command that only reads.
pub(in super::super) enum Read {
    /// Reads messages.
    Mailbox(Name, Call),
    /// Reads nothing but whether the record exists, so that the server reports its next change.
    Record(Arc<str>, String),
}

impl Prefixes {
    /// What a key belongs to.
    pub(super) fn subject(&self, key: &str) -> Option<Subject> {
        if let Some(name) = key.strip_prefix(&self.mailboxes) {
            return name.parse().ok().map(Subject::Mailbox);
        }
        let key = key.strip_prefix(&self.records)?;
        Some(Subject::Record(key.into()))
    }
}

impl Subject {
    /// Reports a change.
    pub(super) fn report(self, signal: &Signal) {
        match self {
            Self::Mailbox(name) => signal.report(name),
            Self::Record(key) => signal.report_record(key),
        }
    }
}

impl Read {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Mailbox(_, call) => call.key(),
            Self::Record(_, key) => key,
        }
    }

    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Mailbox(name, _) => Subject::Mailbox(name.clone()),
            Self::Record(key, _) => Subject::Record(Arc::clone(key)),
        }
    }

    pub(super) fn command(&self) -> Cmd {
        match self {
            Self::Mailbox(_, call) => call.by_name(),
            Self::Record(_, key) => exists(key),
        }
    }

    /// The command for a server that does not have the script.
    pub(super) fn with_text(&self) -> Cmd {
        match self {
            Self::Mailbox(_, call) => call.with_text(),
            Self::Record(_, key) => exists(key),
        }
    }
}

fn exists(key: &str) -> Cmd {
    let mut command = cmd("EXISTS");
    command.arg(key);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_a_mailbox_or_a_record_of_the_store() {
        let prefixes = Prefixes {
            mailboxes: "app:mail:".to_owned(),
            records: "app:record:".to_owned(),
        };
        let of = |key: &str| match prefixes.subject(key)? {
            Subject::Mailbox(name) => Some(format!("mailbox {name}")),
            Subject::Record(key) => Some(format!("record {key}")),
        };
        assert_eq!(of("app:mail:a"), Some("mailbox a".to_owned()));
        assert_eq!(of("app:record:a:b"), Some("record a:b".to_owned()));
        assert_eq!(of("app:owner:a"), None);
        assert_eq!(of("other:record:a"), None);
        assert_eq!(of("app:mail:no name"), None);
    }
}
