//! Judging the sessions of attachments, and closing the sockets of those that have ended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream;
use tessera_connections::{EndReason, Mailbox, MailboxError, Name};
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
        let (mut judged, mut rest) = (Vec::new(), due.as_slice());
        let watched = loop {
            let (batch, after) = rest.split_at(rest.len().min(BATCH_LIMIT));
            if batch.is_empty() {
                break Ok(true);
            }
            match self.watch(batch, &mut judged).await {
                Ok(true) => rest = after,
                other => break other,
            }
        };
        match &watched {
            Ok(_) => self.records.release(rest),
            Err(error) => {
                failed("watching the records of sessions", error);
                self.records.again(rest);
            }
        }
        if judged.is_empty() {
            return watched.is_ok();
        }
        let keys: HashSet<&Arc<str>> = judged.iter().collect();
        let mut attachments = self.attachments();
        attachments.retain(|attached| keys.contains(&attached.key()));
        let are_judged = self.judge_sessions(&attachments).await;
        if !are_judged {
            self.records.again(&judged);
        }
        watched.is_ok() && are_judged
    }

    /// Watches the records of a batch that are there, and adds all of them to those to be judged. Returns whether the store watches.
    ///
    /// Nothing would ever be reported of a record that is gone, and Redis would remember for good that it is watched.
    async fn watch(&self, batch: &[Arc<str>], judged: &mut Vec<Arc<str>>) -> Result<bool, MailboxError> {
        if !self.mailbox.watch_records(&[]).await? {
            return Ok(false);
        }
        let found = self.sessions.calls().records(self.now(), batch).await?;
        let found: HashSet<Arc<str>> = found.into_iter().map(|(key, _)| key).collect();
        let (there, gone): (Vec<_>, Vec<_>) = batch.iter().cloned().partition(|key| found.contains(key));
        if !there.is_empty() && !self.mailbox.watch_records(&there).await? {
            return Ok(false);
        }
        self.records.release(&gone);
        judged.extend(there);
        judged.extend(gone);
        Ok(true)
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
        let (over, are_judged) = (Mutex::new(Vec::new()), AtomicBool::new(true));
        stream::iter(unknown)
            .for_each_concurrent(CONCURRENT, async |attached| {
                if !self.judge(attached, &over).await {
                    are_judged.store(false, Ordering::Relaxed);
                }
            })
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
        are_judged.into_inner()
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
    /// ends for clients that come back to another node. Returns whether the session could be judged.
    async fn judge(&self, attached: &Arc<Attached>, over: &Mutex<Vec<Name>>) -> bool {
        let (handle, key) = {
            let watch = lock(&attached.watch);
            (watch.handle().to_owned(), Arc::clone(watch.key()))
        };
        let judged = judge(self.sessions.calls(), handle, key).await;
        let is_judged = judged.is_ok();
        let judgement = lock(&attached.watch).note(judged, self.settings.unjudged_for);
        match judgement {
            Judgement::Lives => {}
            Judgement::Unknown => attached.close(Closing::TryAgain),
            Judgement::Over => {
                attached.close(Closing::Over);
                lock(over).push(attached.name().clone());
            }
        }
        is_judged || judgement == Judgement::Over
    }
}
