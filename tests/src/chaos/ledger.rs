//! What clients were told, and what may be found for it.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What is done and acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A session, of a subject or of nobody.
    Create,
    /// A subject for a session of nobody.
    Login,
    /// A field.
    Save,
    /// A token.
    Rotate,
    /// The end of a session.
    Logout,
    /// The end of all sessions of a subject.
    RevokeAll,
}

/// How many deeds, by [`Deed`].
pub type Counts = [u64; 6];

/// Their names, in the order of [`Deed`].
pub const DEEDS: [&str; 6] = [
    "created",
    "logged in",
    "saved",
    "renewed",
    "logged out",
    "revoked",
];

/// Where something was acknowledged, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) by: usize,
    pub(super) at: Instant,
}

/// A call under way: at which instance, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: usize,
    pub(super) begun: Instant,
    /// How old a read may be that another instance answers.
    pub(super) max_stale: Duration,
}

impl Asked {
    /// Whether this call has to know of it.
    pub(super) fn must_know(&self, told: Told) -> bool {
        let distance = if told.by == self.at {
            Duration::ZERO
        } else {
            self.max_stale
        };
        told.at + distance <= self.begun
    }
}

/// A field that one client counts up.
#[derive(Default)]
pub(super) struct Counter {
    sent: u64,
    acknowledged: Vec<(u64, Told)>,
    /// Of these the service has said that they were not written.
    refused: HashSet<u64>,
}

impl Counter {
    /// The next value to send.
    pub(super) fn next(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    pub(super) fn acknowledge(&mut self, value: u64, told: Told) {
        self.acknowledged.push((value, told));
    }

    pub(super) fn refuse(&mut self, value: u64) {
        self.refused.insert(value);
    }

    /// How many acknowledged values a value has in it.
    pub(super) fn found(&self, value: u64) -> u64 {
        self.acknowledged
            .iter()
            .filter(|(told, _)| *told <= value)
            .count() as u64
    }

    fn check(&self, found: u64, asked: Asked) -> Result<(), String> {
        let known = self.acknowledged.iter().rev();
        let least = known
            .filter(|(_, told)| asked.must_know(*told))
            .map(|(value, _)| *value)
            .next()
            .unwrap_or(0);
        if found < least {
            return Err(format!("{found}, and {least} was acknowledged"));
        }
        if found > self.sent {
            return Err(format!("{found}, and only {} were ever sent", self.sent));
        }
        if self.refused.contains(&found) {
            return Err(format!("{found}, which was said not to be written"));
        }
        Ok(())
    }
}

/// The fields of a session, each counted up by one client.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, Counter>);

impl Fields {
    pub(super) fn of(&mut self, name: &str) -> &mut Counter {
        self.0.entry(name.to_owned()).or_default()
    }

    /// Compares with what a call has answered.
    pub(super) fn check(&self, session: &Value, asked: Asked) -> Result<(), String> {
        self.0.iter().try_for_each(|(name, counter)| {
            let found = value(session, name);
            counter
                .check(found, asked)
                .map_err(|wrong| format!("field {name} is {wrong}"))
        })
    }

    /// How many acknowledged saves are in what was answered.
    pub(super) fn found(&self, session: &Value) -> u64 {
        let found = |(name, counter): (&String, &Counter)| counter.found(value(session, name));
        self.0.iter().map(found).sum()
    }
}

fn value(session: &Value, name: &str) -> u64 {
    session["fields"][name].as_u64().unwrap_or(0)
}

/// A session of one client.
pub(super) struct Session {
    /// `None`: of nobody.
    pub(super) subject: Option<String>,
    pub(super) public_id: String,
    /// The newest first; older ones may be good for a while.
    pub(super) tokens: Vec<String>,
    pub(super) fields: Fields,
    /// The name of the field that is counted up.
    pub(super) field: String,
    /// Something was asked that ends it, and nobody knows how that ended.
    pub(super) is_in_doubt: bool,
    /// What was acknowledged of it.
    pub(super) deeds: Counts,
}

/// Tokens that open nothing any more.
pub(super) struct Ended {
    pub(super) tokens: Vec<String>,
    pub(super) told: Told,
    /// What was acknowledged of the session before, and its end.
    pub(super) deeds: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(by: usize, at: Instant) -> Told {
        Told { by, at }
    }

    #[test]
    fn a_counter_finds_what_is_lost_invented_or_refused() {
        let start = Instant::now();
        let asked = |at, after| Asked {
            at,
            begun: start + Duration::from_millis(after),
            max_stale: Duration::from_millis(100),
        };
        let mut counter = Counter::default();
        for _ in 0..4 {
            counter.next();
        }
        counter.acknowledge(1, told(0, start));
        counter.refuse(2);
        counter.acknowledge(3, told(0, start + Duration::from_millis(50)));
        // Of the fourth nobody knows.
        assert!(counter.check(3, asked(0, 50)).is_ok() && counter.check(4, asked(0, 50)).is_ok());
        assert!(counter.check(1, asked(0, 50)).is_err(), "lost");
        assert!(counter.check(1, asked(1, 149)).is_ok(), "not heard of there yet");
        assert!(counter.check(1, asked(1, 150)).is_err(), "too old");
        assert!(counter.check(0, asked(1, 100)).is_err(), "older still");
        assert!(counter.check(2, asked(1, 100)).is_err(), "refused");
        assert!(counter.check(5, asked(0, 50)).is_err(), "invented");
        assert_eq!((counter.found(1), counter.found(2), counter.found(4)), (1, 1, 2));
    }
}
