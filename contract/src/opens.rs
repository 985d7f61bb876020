//! A cache of the engine's decisions on opens.
//!
//! Every open reads the store. If the store's reply is the same as before, and no moment has passed on which the decision
//! depends, the engine would decide as before. It is not called then.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Timestamp;
use crate::memo::Memo;
use crate::state::Opened;
use crate::store::{Entry, Seed, StoreError, StoreOp, StoreReply};

/// Approximate size of an open session without its record.
const OPENED_BYTES: usize = 1024;

/// An opened session, and the entry by which it was opened.
#[derive(Clone, Debug)]
pub struct Found {
    /// The session, as the engine returned it.
    pub opened: Arc<Opened>,
    /// The entry, with the guard that the store returned last.
    pub seed: Seed,
    /// The key of the token in [`Opens`].
    pub memo_key: u64,
}

/// The engine's decision on an open.
struct Remembered {
    /// The number of the key ring in force.
    ring: u64,
    op: Arc<StoreOp>,
    found: Found,
}

impl Remembered {
    /// A decision under the key ring of this number.
    fn new(ring: u64, found: Found) -> Arc<Self> {
        let op = StoreOp::Get {
            key: Arc::clone(&found.seed.key),
            fresh: false,
        };
        Arc::new(Self {
            ring,
            op: Arc::new(op),
            found,
        })
    }

    /// Approximate size.
    fn bytes(&self) -> usize {
        self.found.seed.entry.value.len() + OPENED_BYTES
    }

    /// Whether the entry is the one by which the engine decided.
    ///
    /// The text is compared as well, because a damaged record keeps its version.
    fn is_by(&self, entry: &Entry) -> bool {
        let decided = &self.found.seed.entry;
        entry.version == decided.version
            && entry.expires_at == decided.expires_at
            && (Arc::ptr_eq(&entry.value, &decided.value) || entry.value == decided.value)
    }
}

/// The remembered opens of one configuration, bounded by entries and bytes.
pub struct Opens {
    memo: Memo<Remembered>,
    /// The number of changes of the key ring.
    ring: AtomicU64,
}

impl fmt::Debug for Opens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opens").finish_non_exhaustive()
    }
}

/// An open in progress.
pub struct Opening {
    memo_key: u64,
    ring: u64,
    known: Option<Arc<Remembered>>,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

impl Opening {
    /// Returns the store operation whose reply decides the open, and the time at which to execute it.
    ///
    /// Returns `None` if no decision is remembered that is valid now: only the engine can decide then.
    /// The clock is read only if a decision is remembered.
    pub fn operation(&self, now: impl FnOnce() -> Timestamp) -> Option<(Timestamp, &Arc<StoreOp>)> {
        let known = self.known.as_ref()?;
        let now = now();
        known.found.opened.holds_at(now).then_some((now, &known.op))
    }
}

impl Opens {
    /// Creates a cache for approximately this many sessions and bytes; 0 of either disables it.
    pub fn new(sessions: usize, bytes: usize) -> Self {
        Self::over(Memo::new(sessions, bytes))
    }

    /// As [`new`](Self::new), with a random key for the hashes.
    ///
    /// For targets whose standard library has no random numbers, such as wasm32.
    pub fn keyed(sessions: usize, bytes: usize, key: [u8; 16]) -> Self {
        Self::over(Memo::keyed(sessions, bytes, key))
    }

    fn over(memo: Memo<Remembered>) -> Self {
        Self {
            memo,
            ring: AtomicU64::new(0),
        }
    }

    /// Begins to open the session that a token names.
    pub fn begin(&self, token: &str) -> Opening {
        let ring = self.ring.load(Ordering::SeqCst);
        let memo_key = self.memo.key(token);
        let known = self.memo.get(memo_key, token);
        Opening {
            memo_key,
            ring,
            known: known.filter(|known| known.ring == ring),
        }
    }

    /// Returns the session if the reply to the opening's operation confirms the remembered decision.
    ///
    /// A reply with another entry, or with none, drops the decision.
    pub fn decided(&self, opening: &Opening, reply: &StoreReply) -> Option<Found> {
        let known = opening.known.as_ref()?;
        if let StoreReply::Entry(Ok(entry)) = reply
            && known.is_by(entry)
        {
            let mut found = known.found.clone();
            // The guard is not part of the decision, but the end of the session is conditional on the newest guard.
            found.seed.entry.guard = entry.guard;
            return Some(found);
        }
        // An outage reveals nothing about the record.
        if matches!(reply, StoreReply::Entry(Ok(_) | Err(StoreError::Missing))) {
            self.memo.forget(opening.memo_key);
        }
        None
    }

    /// Remembers the engine's decision, unless its `holds_until` is 0.
    pub fn remember(&self, opening: &Opening, token: &str, opened: Arc<Opened>, seed: Seed) -> Found {
        let found = Found {
            opened,
            seed,
            memo_key: opening.memo_key,
        };
        if found.opened.holds_until > Timestamp::default() {
            let remembered = Remembered::new(opening.ring, found.clone());
            let bytes = remembered.bytes();
            self.memo.put(opening.memo_key, token, remembered, bytes);
        }
        found
    }

    /// Replaces a remembered open by the session after a save without a new token, because an open would now return the same.
    ///
    /// `before` and `read` are the session and the entry at the beginning of the save, `opened` and `written` at its end.
    /// Nothing is remembered if the guards differ, because the save has then changed the session's generations.
    /// The result is valid no longer than the open before, because a save does not check the dates of the token.
    pub fn saved(
        &self,
        memo_key: u64,
        (before, read): (&Arc<Opened>, &Seed),
        (opened, written): (&mut Arc<Opened>, &Seed),
    ) {
        if read.entry.guard != written.entry.guard || before.holds_until == Timestamp::default() {
            return;
        }
        // The session is not shared yet.
        let Some(saved) = Arc::get_mut(opened) else { return };
        saved.holds_until = saved.holds_until.min(before.holds_until);
        let ring = self.ring.load(Ordering::SeqCst);
        let found = Found {
            opened: Arc::clone(opened),
            seed: written.clone(),
            memo_key,
        };
        let remembered = Remembered::new(ring, found);
        let bytes = remembered.bytes();
        let is_meant = |known: &Remembered| known.ring == ring && Arc::ptr_eq(&known.found.opened, before);
        self.memo.replace(memo_key, remembered, bytes, is_meant);
    }

    /// Invalidates all earlier decisions, including those of opens in progress, because the key ring has changed.
    pub fn forget_all(&self) {
        self.ring.fetch_add(1, Ordering::SeqCst);
        self.memo.clear();
    }

    /// Forgets one session.
    pub fn forget(&self, memo_key: u64) {
        self.memo.forget(memo_key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Details;
    use crate::state::Fields;
    use crate::store::Cause;

    const TOKEN: &str = "a token";

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn entry(value: &str, version: u64, guard: u64, expires_at: u64) -> Entry {
        Entry {
            value: value.into(),
            version,
            guard,
            expires_at: at(expires_at),
        }
    }

    fn opened(asked_at: u64, holds_until: u64) -> Arc<Opened> {
        let fields = Fields::new("{{}}".into(), 1).unwrap();
        Arc::new(Opened {
            handle: "h".into(),
            key: "k".into(),
            version: 1,
            details: Details::of_draft(),
            asked_at: at(asked_at),
            holds_until: at(holds_until),
            fields: Arc::new(fields),
        })
    }

    fn seed() -> Seed {
        Seed {
            key: "k".into(),
            entry: entry("{{}}", 1, 7, 90),
        }
    }

    fn remembering(holds_until: u64) -> Opens {
        let opens = Opens::new(64, 1 << 20);
        let opening = opens.begin(TOKEN);
        assert!(opening.operation(|| at(10)).is_none());
        opens.remember(&opening, TOKEN, opened(10, holds_until), seed());
        opens
    }

    fn asks(opens: &Opens, now: u64) -> bool {
        let opening = opens.begin(TOKEN);
        let operation = opening.operation(|| at(now));
        operation.is_some_and(|(asked_at, op)| asked_at == at(now) && op.key() == Some("k"))
    }

    #[test]
    fn a_decision_is_remembered_from_the_clock_that_it_was_made_by_to_before_its_end() {
        let opens = remembering(50);
        for (now, holds) in [(9, false), (10, true), (49, true), (50, false)] {
            assert_eq!(asks(&opens, now), holds, "{now}");
        }
        assert!(opens.begin("another token").operation(|| at(10)).is_none());
        assert!(!asks(&remembering(0), 0));
    }

    #[test]
    fn only_the_very_entry_leaves_it_as_it_was_and_the_guard_is_the_one_that_is_there_now() {
        for (there, holds) in [
            (entry("{{}}", 1, 7, 90), true),
            (entry("{{}}", 1, 8, 90), true),
            (entry("{{}}", 2, 7, 90), false),
            (entry("{{}}", 1, 7, 91), false),
            (entry("{{1}", 1, 7, 90), false),
        ] {
            let opens = remembering(50);
            let reply = StoreReply::Entry(Ok(there.clone()));
            let found = opens.decided(&opens.begin(TOKEN), &reply);
            assert_eq!(
                found.map(|found| found.seed.entry),
                holds.then_some(there.clone())
            );
            assert_eq!(asks(&opens, 10), holds, "{there:?}");
        }
    }

    #[test]
    fn a_missing_entry_is_forgotten_and_an_outage_forgets_nothing() {
        for (error, remembered) in [
            (StoreError::Missing, false),
            (StoreError::Unavailable(Cause::new("x")), true),
            (StoreError::Corrupt, true),
        ] {
            let opens = remembering(50);
            let reply = StoreReply::Entry(Err(error));
            assert!(opens.decided(&opens.begin(TOKEN), &reply).is_none());
            assert_eq!(asks(&opens, 10), remembered, "{reply:?}");
        }
    }

    #[test]
    fn a_changed_key_ring_forgets_all_and_what_was_under_way() {
        let opens = remembering(50);
        let (before, under_way) = (opens.begin(TOKEN), opens.begin("other"));
        opens.forget_all();
        assert!(!asks(&opens, 10));
        opens.remember(&before, TOKEN, opened(10, 50), seed());
        opens.remember(&under_way, "other", opened(10, 50), seed());
        assert!(!asks(&opens, 10));
        let opening = opens.begin(TOKEN);
        let found = opens.remember(&opening, TOKEN, opened(10, 50), seed());
        assert!(asks(&opens, 10));
        opens.forget(found.memo_key);
        assert!(!asks(&opens, 10));
    }
}
