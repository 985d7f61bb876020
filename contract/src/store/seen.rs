//! The entries that the calls on a session read or wrote last, so that a call starts from the result of the previous one.

use std::sync::Arc;

use super::{Entry, Expected, Placement, StoreError, StoreOp, StoreReply};
use crate::Timestamp;

/// The maximum number of entries that one call notes. A moved session is found after up to twelve redirects.
const MOST: usize = 16;

/// The entry of a session's key that its calls read or wrote last. It replies to the first read of the next call.
#[derive(Clone)]
pub struct Seed {
    /// The key.
    pub key: Arc<str>,
    /// The entry under the key.
    pub entry: Entry,
}

// The key identifies a session, and the record is its content.
impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seed").finish_non_exhaustive()
    }
}

impl Seed {
    /// Replies to an operation that reads this entry and need not be fresh, if the entry is alive.
    pub fn reply(&self, op: &StoreOp, now: Timestamp) -> Option<StoreReply> {
        match op {
            StoreOp::Get { key, fresh: false } if *key == self.key && self.entry.expires_at > now => {
                Some(StoreReply::Entry(Ok(self.entry.clone())))
            }
            _ => None,
        }
    }

    /// As [`reply`](Self::reply), for a call that cannot wait.
    ///
    /// An expired entry is missing to such a call, because the store is not read to learn whether it was touched since.
    pub fn reply_at_once(&self, op: &StoreOp, now: Timestamp) -> Option<StoreReply> {
        let is_own = matches!(op, StoreOp::Get { key, fresh: false } if *key == self.key);
        let missing = || is_own.then(|| op.failed(StoreError::Missing));
        self.reply(op, now).or_else(missing)
    }
}

/// The entries that one logical call has read and written.
#[derive(Clone, Default)]
pub struct Seen(Vec<Seed>);

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

impl Seen {
    /// The entry of a key as it was last read or written.
    pub fn get(&self, key: &str) -> Option<&Seed> {
        self.0.iter().find(|seed| *seed.key == *key)
    }

    fn put(&mut self, key: Arc<str>, entry: Entry) -> Option<&Entry> {
        let place = self.0.iter().position(|seed| seed.key == key);
        match place {
            Some(place) => self.0[place].entry = entry,
            None => {
                if self.0.len() == MOST {
                    self.0.remove(0);
                }
                self.0.push(Seed { key, entry });
            }
        }
        let seed = self.0.get(place.unwrap_or(self.0.len() - 1))?;
        Some(&seed.entry)
    }

    fn remove(&mut self, key: &str) {
        self.0.retain(|seed| *seed.key != *key);
    }

    /// The guard of the entry that a write was to overwrite, if known.
    fn kept_guard(&self, key: &str, expected: Expected) -> Option<u64> {
        match expected {
            Expected::Guard(guard) => Some(guard),
            Expected::Version(version) => {
                let before = self.get(key).filter(|seed| seed.entry.version == version)?;
                Some(before.entry.guard)
            }
        }
    }

    /// Learns from an operation and its reply, and returns the entry that is now certain to be under the operation's key.
    ///
    /// A refused or failed operation keeps the known entry, except that a deletion removes it whatever its result.
    /// A reply of [`StoreError::Missing`] removes it as well.
    pub fn learn(&mut self, op: &StoreOp, reply: &StoreReply) -> Option<&Entry> {
        match (op, reply) {
            (StoreOp::Get { key, .. }, StoreReply::Entry(Ok(entry))) => {
                self.put(Arc::clone(key), entry.clone())
            }
            (StoreOp::Insert { key, value, at }, StoreReply::Version(Ok(version))) => {
                // No live entry existed.
                let guard = at.guard.unwrap_or(0);
                self.put(key.as_str().into(), written(value, *version, guard, at))
            }
            (
                StoreOp::Replace {
                    key,
                    value,
                    expected,
                    at,
                },
                StoreReply::Version(Ok(version)),
            ) => match at.guard.or_else(|| self.kept_guard(key, *expected)) {
                Some(guard) => self.put(key.as_str().into(), written(value, *version, guard, at)),
                None => {
                    self.remove(key);
                    None
                }
            },
            (StoreOp::Touch { key, expires_at, .. }, StoreReply::Done(Ok(()))) => {
                let seed = self.0.iter_mut().find(|seed| *seed.key == **key)?;
                seed.entry.expires_at = seed.entry.expires_at.max(*expires_at);
                Some(&seed.entry)
            }
            (StoreOp::Delete { key, .. }, _) => {
                self.remove(key);
                None
            }
            (op, reply) => {
                if let (Some(key), Some(StoreError::Missing)) = (op.key(), reply.error()) {
                    self.remove(key);
                }
                None
            }
        }
    }
}

fn written(value: &str, version: u64, guard: u64, at: &Placement) -> Entry {
    Entry {
        value: value.into(),
        version,
        guard,
        expires_at: at.expires_at.min(at.ends_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Cause, Condition};

    fn entry(version: u64, guard: u64, expires_at: u64) -> Entry {
        Entry {
            value: "text".into(),
            version,
            guard,
            expires_at: Timestamp::from_millis(expires_at),
        }
    }

    fn get(key: &str, fresh: bool) -> StoreOp {
        StoreOp::Get {
            key: key.into(),
            fresh,
        }
    }

    fn replace(expected: Expected, guard: Option<u64>) -> StoreOp {
        let at = Placement {
            owner: None,
            previous_owner: None,
            guard,
            expires_at: Timestamp::from_millis(90),
            ends_at: Timestamp::from_millis(80),
        };
        StoreOp::Replace {
            key: "k".into(),
            value: "next".into(),
            expected,
            at,
        }
    }

    fn seen() -> Seen {
        let mut seen = Seen::default();
        let learned = seen.learn(&get("k", false), &StoreReply::Entry(Ok(entry(1, 7, 50))));
        assert_eq!(learned, Some(&entry(1, 7, 50)));
        seen
    }

    #[test]
    fn a_seed_answers_for_its_own_key_while_it_lives_and_never_what_has_to_be_fresh() {
        let seed = Seed {
            key: "k".into(),
            entry: entry(1, 7, 50),
        };
        let at = Timestamp::from_millis;
        assert!(matches!(
            seed.reply(&get("k", false), at(49)),
            Some(StoreReply::Entry(Ok(_)))
        ));
        assert!(seed.reply(&get("k", false), at(50)).is_none());
        assert!(seed.reply(&get("k", true), at(49)).is_none());
        assert!(seed.reply(&get("other", false), at(49)).is_none());
        // A call that cannot wait gets a reply for its own entry, and for no other read.
        assert!(matches!(
            seed.reply_at_once(&get("k", false), at(49)),
            Some(StoreReply::Entry(Ok(_)))
        ));
        assert!(matches!(
            seed.reply_at_once(&get("k", false), at(50)),
            Some(StoreReply::Entry(Err(StoreError::Missing)))
        ));
        assert!(seed.reply_at_once(&get("k", true), at(49)).is_none());
        assert!(seed.reply_at_once(&get("other", false), at(49)).is_none());
    }

    #[test]
    fn a_written_entry_has_the_guard_it_brings_or_the_one_that_was_there() {
        for (expected, brought, guard) in [
            (Expected::Version(1), None, Some(7)),
            (Expected::Version(1), Some(9), Some(9)),
            (Expected::Guard(8), None, Some(8)),
            // The overwritten entry is not known.
            (Expected::Version(2), None, None),
        ] {
            let mut seen = seen();
            let learned = seen
                .learn(&replace(expected, brought), &StoreReply::Version(Ok(3)))
                .cloned();
            assert_eq!(learned, seen.get("k").map(|seed| seed.entry.clone()));
            assert_eq!(learned.as_ref().map(|entry| entry.guard), guard);
            if let Some(entry) = learned {
                assert_eq!((&*entry.value, entry.version), ("next", 3));
                assert_eq!(
                    entry.expires_at,
                    Timestamp::from_millis(80),
                    "nothing outlives its end"
                );
            }
        }
    }

    #[test]
    fn a_failed_write_leaves_what_was_seen_and_says_nothing_of_what_is_there() {
        let mut seen = seen();
        let lost = StoreReply::Version(Err(StoreError::OutcomeUnknown(Cause::new("lost"))));
        assert_eq!(seen.learn(&replace(Expected::Version(1), None), &lost), None);
        assert_eq!(seen.get("k").map(|seed| seed.entry.version), Some(1));
        let touch = |expires_at| StoreOp::Touch {
            key: "k".into(),
            owner: None,
            expires_at: Timestamp::from_millis(expires_at),
        };
        for (to, expires_at) in [(60, 60), (55, 60)] {
            let learned = seen.learn(&touch(to), &StoreReply::Done(Ok(())));
            assert_eq!(learned, Some(&entry(1, 7, expires_at)));
        }
        // A missing entry is forgotten.
        let missing = StoreReply::Version(Err(StoreError::Missing));
        assert_eq!(seen.learn(&replace(Expected::Version(1), None), &missing), None);
        assert!(seen.get("k").is_none());
    }

    #[test]
    fn a_deletion_leaves_nothing_that_was_seen_however_it_ended() {
        let delete = StoreOp::Delete {
            key: "k".into(),
            condition: Condition::Guard(7),
        };
        for ended in [Ok(true), Ok(false), Err(StoreError::Stale), Err(StoreError::Full)] {
            let mut seen = seen();
            assert_eq!(seen.learn(&delete, &StoreReply::WasThere(ended)), None);
            assert!(seen.get("k").is_none());
        }
    }

    #[test]
    fn no_more_entries_are_noted_than_a_moved_session_can_have() {
        let mut seen = Seen::default();
        for number in 0..2 * MOST {
            seen.learn(
                &get(&number.to_string(), false),
                &StoreReply::Entry(Ok(entry(1, 1, 1))),
            );
        }
        assert_eq!(seen.0.len(), MOST);
        assert!(seen.get("0").is_none() && seen.get(&(2 * MOST - 1).to_string()).is_some());
    }
}
