//! Judging the sessions of attachments, and closing the sockets of those that have ended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream;
use tessera_connections::{EndReason, Mailbox, Name};
use tessera_contract::store::{BATCH_LIMIT, Entry, StoreError};

use super::attached::{Attached, Closing, lock};
use super::node::{CONCURRENT, Node, failed};
use super::watch::{Judgement, judge};
use crate::SessionError;

impl<M: Mailbox> Node<M> {
    /// Watches the records that are due, and then judges the sessions of their attachments. So a change is seen by the judgement,
    /// or reported after it. Returns whether the store has replied; otherwise, records are due again.
    ///
    /// Those that the store cannot watch are judged by the beats alone.
    pub(super) async fn judge_due(&self) -> bool {
        let due = self.records.take();
        let (mut watched, mut has_replied) = (0, true);
        for batch in due.chunks(BATCH_LIMIT) {
            match self.mailbox.watch_records(batch).await {
                Ok(true) => watched += batch.len(),
                Ok(false) => break,
                Err(error) => {
                    failed("watching the records of sessions", &error);
                    has_replied = false;
                    break;
                }
            }
        }
        let (watched, others) = due.split_at(watched);
        if has_replied {
            self.records.release(others);
        } else {
            self.records.again(others);
        }
        if watched.is_empty() {
            return has_replied;
        }
        let keys: HashSet<&Arc<str>> = watched.iter().collect();
        let mut attachments = self.attachments();
        attachments.retain(|attached| keys.contains(&attached.key()));
        let are_judged = self.judge_sessions(&attachments).await;
        if !are_judged {
            self.records.again(watched);
        }
        has_replied && are_judged
    }

    /// Judges the sessions of attachments. One read returns up to 100 records; the engine judges those that have changed.
    /// Returns whether the store has replied to these reads.
    pub(super) async fn judge_sessions(&self, attachments: &[Arc<Attached>]) -> bool {
        let keys: BTreeSet<Arc<str>> = attachments.iter().map(|attached| attached.key()).collect();
        let keys: Vec<Arc<str>> = keys.into_iter().collect();
        let now = self.now();
        let mut records: HashMap<Arc<str>, Entry> = HashMap::new();
        for batch in keys.chunks(BATCH_LIMIT) {
            match self.sessions.calls().records(now, batch).await {
                Ok(found) => records.extend(found),
                // Each further call would wait for the store as long.
                Err(error) => {
                    self.note_outage(attachments, &error);
                    return false;
                }
            }
        }
        let unknown: Vec<&Arc<Attached>> = attachments
            .iter()
            .filter(|attached| {
                let mut watch = lock(&attached.watch);
                let is_known = records
                    .get(watch.key())
                    .is_some_and(|entry| watch.is_known(now, entry));
                if is_known {
                    watch.confirm();
                }
                !is_known
            })
            .collect();
        let over = Mutex::new(Vec::new());
        stream::iter(unknown)
            .for_each_concurrent(CONCURRENT, |attached| self.judge(attached, &over))
            .await;
        let over = over.into_inner().unwrap_or_else(PoisonError::into_inner);
        // After all judgements, none of which waits for a mailbox.
        let end = over.iter().map(async |name| {
            if let Err(error) = self.end(name, EndReason::SessionOver).await {
                failed("ending the mailbox of a session that has ended", &error);
            }
        });
        stream::iter(end)
            .for_each_concurrent(CONCURRENT, |ended| ended)
            .await;
        true
    }

    /// Notes that no session can be judged.
    fn note_outage(&self, attachments: &[Arc<Attached>], error: &StoreError) {
        for attached in attachments {
            let outage = SessionError::Unavailable {
                source: Some(error.clone()),
            };
            if lock(&attached.watch).note(Err(outage), self.settings.unjudged_for) == Judgement::Unknown {
                attached.close(Closing::TryAgain);
            }
        }
    }

    /// Judges the session of an attachment. If it is over, the socket is closed at once, and the connection is noted: its mailbox
    /// ends for clients that come back to another node.
    async fn judge(&self, attached: &Arc<Attached>, over: &Mutex<Vec<Name>>) {
        let (handle, key) = {
            let watch = lock(&attached.watch);
            (watch.handle().to_owned(), Arc::clone(watch.key()))
        };
        let judged = judge(self.sessions.calls(), handle, key).await;
        let judgement = lock(&attached.watch).note(judged, self.settings.unjudged_for);
        match judgement {
            Judgement::Lives => {}
            Judgement::Unknown => attached.close(Closing::TryAgain),
            Judgement::Over => {
                attached.close(Closing::Over);
                lock(over).push(attached.name().clone());
            }
        }
    }
}
