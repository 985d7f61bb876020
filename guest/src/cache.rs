//! Snapshots seen lately, so that a hot session is neither copied nor read again.
//!
//! It never decides what a call answers: the store is asked each time, and only tells the text again if its version is another.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use crate::snapshot::Snapshot;
use crate::token::SessionId;

const MAXIMUM_ENTRIES: usize = 4096;
const MAXIMUM_BYTES: usize = 2 << 20;

/// Ids are random bytes that a mac vouched for: their first eight are as good as any hash of them.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

type Shelf = HashMap<SessionId, Rc<Snapshot>, BuildHasherDefault<IdHasher>>;

/// Two shelves: what is used moves to the new one; when that is full the old one is thrown away.
#[derive(Default)]
pub struct Cache {
    new: Shelf,
    old: Shelf,
    new_bytes: usize,
}

impl Cache {
    /// The newest snapshot seen of a session.
    pub fn get(&mut self, id: &SessionId) -> Option<Rc<Snapshot>> {
        if let Some(found) = self.new.get(id) {
            return Some(Rc::clone(found));
        }
        let found = self.old.remove(id)?;
        self.put(*id, &found);
        Some(found)
    }

    /// Notes a snapshot.
    pub fn put(&mut self, id: SessionId, snapshot: &Rc<Snapshot>) {
        let bytes = snapshot.bytes();
        if bytes > MAXIMUM_BYTES / 4 {
            self.forget(&id);
            return;
        }
        if self.new.len() >= MAXIMUM_ENTRIES || self.new_bytes + bytes > MAXIMUM_BYTES {
            self.old = core::mem::take(&mut self.new);
            self.new_bytes = 0;
        }
        self.old.remove(&id);
        self.new_bytes += bytes;
        if let Some(before) = self.new.insert(id, Rc::clone(snapshot)) {
            self.new_bytes -= before.bytes();
        }
    }

    /// Forgets a session.
    pub fn forget(&mut self, id: &SessionId) {
        self.old.remove(id);
        if let Some(before) = self.new.remove(id) {
            self.new_bytes -= before.bytes();
        }
    }
}
