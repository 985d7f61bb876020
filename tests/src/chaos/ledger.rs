//! The acknowledgements that clients received, and the states that they allow.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A kind of acknowledged call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A new session, with or without a subject.
    Create,
    /// A login of a session without a subject.
    Login,
    /// A saved field.
    Save,
    /// A renewed token.
    Rotate,
    /// The end of a session.
    Logout,
    /// The end of all sessions of a subject.
    RevokeAll,
    /// A message to a connection.
    Message,
}

/// The number of calls of each [`Deed`].
pub type Counts = [u64; 7];

/// The names of the kinds, in the order of [`Deed`].
pub const DEEDS: [&str; 7] = [
    "created",
    "logged in",
    "saved",
    "renewed",
    "logged out",
    "revoked",
    "messages",
];

/// The instance and time of an acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) by: usize,
    pub(super) at: Instant,
}

/// A call in progress: its instance and start time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: usize,
    pub(super) begun: Instant,
    /// The maximum age of a read at another instance.
    pub(super) max_stale: Duration,
}

impl Asked {
    /// Whether this call must see the effect of an acknowledged one.
    pub(super) fn must_know(&self, told: Told) -> bool {
        let distance = if told.by == self.at {
            Duration::ZERO
        } else {
            self.max_stale
        };
        told.at + distance <= self.begun
    }
}

/// A field that one client increments.
#[derive(Default)]
pub(super) struct Counter {
    sent: u64,
    acknowledged: Vec<(u64, Told)>,
    /// Values that the service reported as not written.
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

    /// The number of acknowledged values that a found value includes.
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
            return Err(format!("{found}, although {least} was acknowledged"));
        }
        if found > self.sent {
            return Err(format!("{found}, although the last value sent was {}", self.sent));
        }
        if self.refused.contains(&found) {
            return Err(format!("{found}, which was reported as not written"));
        }
        Ok(())
    }
}

/// The fields of a session, each incremented by one client.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, Counter>);

impl Fields {
    pub(super) fn of(&mut self, name: &str) -> &mut Counter {
        self.0.entry(name.to_owned()).or_default()
    }

    /// Compares the fields with the response of a call.
    pub(super) fn check(&self, session: &Value, asked: Asked) -> Result<(), String> {
        self.0.iter().try_for_each(|(name, counter)| {
            let found = value(session, name);
            counter
                .check(found, asked)
                .map_err(|wrong| format!("field {name} is {wrong}"))
        })
    }

    /// The number of acknowledged saves that a response includes.
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
    /// `None` before a login.
    pub(super) subject: Option<String>,
    pub(super) public_id: String,
    /// The newest token first. Older ones may be accepted for a grace period.
    pub(super) tokens: Vec<String>,
    pub(super) fields: Fields,
    /// The name of the field that is incremented.
    pub(super) field: String,
    /// Whether a call that ends it was sent and had an unknown result.
    pub(super) is_in_doubt: bool,
    /// Its acknowledged calls.
    pub(super) deeds: Counts,
}

/// Tokens of a session that has ended.
pub(super) struct Ended {
    pub(super) tokens: Vec<String>,
    pub(super) told: Told,
    /// The session's acknowledged calls, including the one that ended it.
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
        // The result of the fourth is unknown.
        assert!(counter.check(3, asked(0, 50)).is_ok() && counter.check(4, asked(0, 50)).is_ok());
        assert!(counter.check(1, asked(0, 50)).is_err(), "lost");
        assert!(counter.check(1, asked(1, 149)).is_ok(), "not visible there yet");
        assert!(counter.check(1, asked(1, 150)).is_err(), "too old");
        assert!(counter.check(0, asked(1, 100)).is_err(), "older still");
        assert!(counter.check(2, asked(1, 100)).is_err(), "refused");
        assert!(counter.check(5, asked(0, 50)).is_err(), "invented");
        assert_eq!((counter.found(1), counter.found(2), counter.found(4)), (1, 1, 2));
    }
}
