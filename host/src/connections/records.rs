//! The records of the sessions that have clients at this node: which of them the store watches, and which are to be judged.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The records of the sessions of all attachments of a node, by key.
///
/// Each record is watched, or due, or waits for the next beat because the store cannot watch it.
#[derive(Default)]
pub(super) struct Records {
    state: Mutex<State>,
    has_due: Notify,
}

#[derive(Default)]
struct State {
    by_key: HashMap<Arc<str>, Record>,
    /// Those to be watched and judged in the next round.
    due: HashSet<Arc<str>>,
}

#[derive(Default)]
struct Record {
    /// The number of attachments of the session.
    attachments: usize,
    /// Whether a change will be reported.
    is_watched: bool,
}

impl Records {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the data is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an attachment. Its session is judged also if the record is watched, because it may have ended since it was opened.
    pub(super) fn add(&self, key: &Arc<str>) {
        let mut state = self.state();
        state.by_key.entry(Arc::clone(key)).or_default().attachments += 1;
        state.due.insert(Arc::clone(key));
        self.has_due.notify_one();
    }

    /// Removes an attachment.
    pub(super) fn remove(&self, key: &str) {
        let mut state = self.state();
        let Some(record) = state.by_key.get_mut(key) else {
            return;
        };
        record.attachments = record.attachments.saturating_sub(1);
        if record.attachments == 0 {
            state.by_key.remove(key);
            state.due.remove(key);
        }
    }

    /// Notes that a watched record has changed.
    pub(super) fn changed(&self, key: &Arc<str>) {
        let mut state = self.state();
        let Some(record) = state.by_key.get_mut(key) else {
            return;
        };
        if std::mem::take(&mut record.is_watched) {
            state.due.insert(Arc::clone(key));
            self.has_due.notify_one();
        }
    }

    /// Notes that no record is watched any more.
    pub(super) fn missed(&self) {
        self.make_due(|record| std::mem::take(&mut record.is_watched));
    }

    /// Makes the records due that are not watched.
    pub(super) fn retry(&self) {
        self.make_due(|record| !record.is_watched);
    }

    fn make_due(&self, mut is_due: impl FnMut(&mut Record) -> bool) {
        let mut state = self.state();
        let State { by_key, due } = &mut *state;
        let are_due = by_key
            .iter_mut()
            .filter_map(|(key, record)| is_due(record).then_some(key));
        due.extend(are_due.map(Arc::clone));
        if !due.is_empty() {
            self.has_due.notify_one();
        }
    }

    /// Waits until a record is due.
    pub(super) async fn due(&self) {
        // One task waits, for which a notification is kept.
        while self.state().due.is_empty() {
            self.has_due.notified().await;
        }
    }

    /// Takes the records that are due. They count as watched from now on, before the store watches them, so that no report of a
    /// change is lost in between. [`release`](Self::release) those that it does not watch.
    pub(super) fn take(&self) -> Vec<Arc<str>> {
        let mut state = self.state();
        let due: Vec<Arc<str>> = std::mem::take(&mut state.due).into_iter().collect();
        for key in &due {
            if let Some(record) = state.by_key.get_mut(key) {
                record.is_watched = true;
            }
        }
        due
    }

    /// Makes records due once more, which could not be watched or judged.
    pub(super) fn again(&self, keys: &[Arc<str>]) {
        let mut state = self.state();
        let State { by_key, due } = &mut *state;
        due.extend(
            keys.iter()
                .filter(|key| by_key.contains_key(*key))
                .map(Arc::clone),
        );
        self.has_due.notify_one();
    }

    /// Notes that records are not watched.
    pub(super) fn release(&self, keys: &[Arc<str>]) {
        let mut state = self.state();
        for key in keys {
            if let Some(record) = state.by_key.get_mut(key) {
                record.is_watched = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut keys: Vec<Arc<str>>) -> Vec<Arc<str>> {
        keys.sort();
        keys
    }

    #[test]
    fn a_change_is_due_once_until_it_is_taken() {
        let (records, key) = (Records::default(), Arc::<str>::from("a"));
        records.changed(&key);
        assert!(records.take().is_empty(), "no attachment");
        records.add(&key);
        assert_eq!(records.take(), std::slice::from_ref(&key));
        // Reported before the store has returned from watching it.
        records.changed(&key);
        records.changed(&key);
        assert_eq!(records.take(), std::slice::from_ref(&key));
        records.retry();
        assert!(records.take().is_empty(), "it is watched");
        records.again(std::slice::from_ref(&key));
        assert_eq!(records.take(), std::slice::from_ref(&key));
        records.release(std::slice::from_ref(&key));
        records.changed(&key);
        records.missed();
        assert!(records.take().is_empty(), "it waits for a beat");
        records.retry();
        assert_eq!(records.take(), std::slice::from_ref(&key));
    }

    #[test]
    fn all_that_are_watched_or_being_watched_are_due_after_a_loss() {
        let records = Records::default();
        let keys: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        keys.iter().for_each(|key| records.add(key));
        assert_eq!(sorted(records.take()), keys);
        records.release(&keys[2..]);
        records.missed();
        assert_eq!(sorted(records.take()), keys[..2]);
        records.missed();
        assert_eq!(sorted(records.take()), keys[..2]);
    }

    #[test]
    fn nothing_is_kept_of_a_session_without_attachments() {
        let (records, key) = (Records::default(), Arc::<str>::from("a"));
        records.add(&key);
        records.add(&key);
        records.remove(&key);
        assert_eq!(records.take(), std::slice::from_ref(&key));
        // A further attachment of a session whose record is watched.
        records.add(&key);
        records.remove(&key);
        assert_eq!(records.take(), std::slice::from_ref(&key));
        records.add(&key);
        records.remove(&key);
        records.remove(&key);
        records.changed(&key);
        records.release(std::slice::from_ref(&key));
        records.again(std::slice::from_ref(&key));
        records.missed();
        records.retry();
        let state = records.state();
        assert!(state.by_key.is_empty() && state.due.is_empty());
    }
}
