//! Mailboxes in the memory of the process.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::Stream;
use tessera_connections::{
    Batch, Bounds, Changed, EndReason, Holder, Limit, Log, Mailbox, MailboxError, Message, MessageId, Name,
    SendKey, Walked,
};
use tessera_contract::Timestamp;

use crate::mail::{check_cursor, or_false, stamp};
use crate::wakes::{Changes, Signal, Wakes};

/// Mailboxes in the memory of the process, for one process and for tests. They do not outlive it.
///
/// A clone is another node over the same mailboxes, with notifications of its own.
pub struct MemoryMailbox {
    shared: Arc<Shared>,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Shared {
    boxes: Mutex<Boxes>,
    wakes: Wakes,
}

#[derive(Default)]
struct Boxes {
    by_name: BTreeMap<Name, Kept>,
    /// The number of calls that open or keep mailboxes until those whose time has passed are removed.
    until_sweep: usize,
}

struct Kept {
    log: Log,
    until: Timestamp,
}

impl Default for MemoryMailbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for MemoryMailbox {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            signal: Arc::default(),
        }
    }
}

impl fmt::Debug for MemoryMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryMailbox").finish_non_exhaustive()
    }
}

impl Kept {
    fn walked(&self, name: &Name) -> Walked {
        Walked {
            name: name.clone(),
            head: Arc::clone(self.log.head()),
            holder: self.log.holder(),
            ended: self.log.ended(),
        }
    }
}

impl Boxes {
    fn live(&mut self, now: Timestamp, name: &Name) -> Result<&mut Kept, MailboxError> {
        let kept = self.by_name.get_mut(name).filter(|kept| kept.until > now);
        kept.ok_or(MailboxError::Missing)
    }

    /// Removes the mailboxes whose time has passed, so rarely that a call takes little time on average.
    fn sweep(&mut self, now: Timestamp, wakes: &Wakes) {
        if let Some(left) = self.until_sweep.checked_sub(1) {
            self.until_sweep = left;
            return;
        }
        self.by_name.retain(|name, kept| {
            let is_live = kept.until > now;
            if !is_live {
                wakes.forget(name);
            }
            is_live
        });
        self.until_sweep = (self.by_name.len() / 64).max(8);
    }
}

impl MemoryMailbox {
    /// Creates mailboxes, and their first node.
    pub fn new() -> Self {
        Self {
            shared: Arc::default(),
            signal: Arc::default(),
        }
    }

    fn boxes(&self) -> MutexGuard<'_, Boxes> {
        // Each change of the data is complete before anything can panic.
        self.shared.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a change of a live mailbox and wakes its watchers.
    fn change<T>(
        &self,
        now: Timestamp,
        name: &Name,
        change: impl FnOnce(&mut Kept) -> Result<T, MailboxError>,
    ) -> Result<T, MailboxError> {
        let changed = change(self.boxes().live(now, name)?);
        self.shared.wakes.wake(name);
        changed
    }
}

impl Mailbox for MemoryMailbox {
    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        let mut boxes = self.boxes();
        boxes.sweep(now, &self.shared.wakes);
        let new = || Kept {
            log: Log::new(head.into()),
            until,
        };
        match boxes.by_name.entry(name.clone()) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(new());
            }
            btree_map::Entry::Occupied(mut occupied) if occupied.get().until <= now => {
                occupied.insert(new());
            }
            btree_map::Entry::Occupied(occupied) if **occupied.get().log.head() != *head => {
                return Err(MailboxError::Taken);
            }
            btree_map::Entry::Occupied(_) => {}
        }
        Ok(())
    }

    async fn append(
        &self,
        now: Timestamp,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
        bounds: &Bounds,
    ) -> Result<MessageId, MailboxError> {
        bounds.size(message, key)?;
        let stamp = stamp()?;
        self.change(now, name, |kept| {
            kept.log.append(message.clone(), key.cloned(), stamp, bounds)
        })
    }

    async fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        self.change(now, name, |kept| {
            kept.log.attach(holder)?;
            kept.until = kept.until.max(until);
            Ok(())
        })
    }

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        or_false(self.change(now, name, |kept| {
            let was_holder = kept.log.detach(holder);
            if was_holder {
                kept.until = until;
            }
            Ok(was_holder)
        }))
    }

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        or_false(self.change(now, name, |kept| {
            let ends = kept.log.end(reason);
            if ends {
                kept.until = until;
            }
            Ok(ends)
        }))
    }

    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        let mut boxes = self.boxes();
        let batch = boxes.live(now, name)?.log.read(after, limit);
        // Under the lock of the mailboxes, so that no change comes between the read and the watch.
        self.shared.wakes.watch(name, &self.signal);
        Ok(batch)
    }

    async fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        let mut boxes = self.boxes();
        boxes.live(now, name)?.log.acknowledge(holder, through, replay);
        Ok(())
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        let mut boxes = self.boxes();
        boxes.sweep(now, &self.shared.wakes);
        let mut missing = Vec::new();
        for name in names {
            match boxes.live(now, name) {
                Ok(kept) => kept.until = kept.until.max(until),
                Err(_) => missing.push(name.clone()),
            }
        }
        Ok(missing)
    }

    async fn look(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Walked>, MailboxError> {
        let mut boxes = self.boxes();
        let found = names
            .iter()
            .filter_map(|name| Some(boxes.live(now, name).ok()?.walked(name)));
        Ok(found.collect())
    }

    async fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Walked>, Option<String>), MailboxError> {
        let after = check_cursor(cursor)?;
        let boxes = self.boxes();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page: Vec<_> = boxes
            .by_name
            .range((from, Bound::Unbounded))
            .take(limit as usize)
            .collect();
        let is_full = page.len() >= limit as usize;
        let next = page.last().filter(|_| is_full).map(|(name, _)| name.to_string());
        let live = page.into_iter().filter(|(_, kept)| kept.until > now);
        Ok((live.map(|(name, kept)| kept.walked(name)).collect(), next))
    }

    fn changed(&self) -> impl Stream<Item = Changed> + Send + use<> {
        Changes(Arc::clone(&self.signal))
    }
}
