//! Snapshots seen lately, so that a hot session is neither copied nor read again.
//!
//! It never decides what a call answers: the store is asked each time, and only tells the text again if its version is another.

use std::rc::Rc;

use crate::snapshot::Snapshot;
use crate::token::SessionId;

/// A power of two.
const PLACES: usize = 4096;
const MAXIMUM_BYTES: usize = 4 << 20;

struct Kept {
    id: SessionId,
    snapshot: Rc<Snapshot>,
}

/// One place for each hash of an id; the later snapshot takes it. Beyond the bound on bytes, a hand goes round and empties places.
pub struct Cache {
    places: Vec<Option<Kept>>,
    bytes: usize,
    hand: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| None).collect(),
            bytes: 0,
            hand: 0,
        }
    }
}

/// Ids are random bytes that a mac vouched for: their first two are as good as any hash of them.
fn place(id: &SessionId) -> usize {
    usize::from(u16::from_le_bytes([id.0[0], id.0[1]])) % PLACES
}

impl Cache {
    /// The newest snapshot seen of a session.
    pub fn get(&self, id: &SessionId) -> Option<Rc<Snapshot>> {
        let kept = self.places[place(id)].as_ref()?;
        (kept.id == *id).then(|| Rc::clone(&kept.snapshot))
    }

    /// Notes a snapshot.
    pub fn put(&mut self, id: SessionId, snapshot: &Rc<Snapshot>) {
        let bytes = snapshot.bytes();
        self.empty(place(&id));
        if bytes > MAXIMUM_BYTES / 4 {
            return;
        }
        while self.bytes + bytes > MAXIMUM_BYTES {
            self.empty(self.hand);
            self.hand = (self.hand + 1) % PLACES;
        }
        self.bytes += bytes;
        self.places[place(&id)] = Some(Kept {
            id,
            snapshot: Rc::clone(snapshot),
        });
    }

    /// Forgets a session.
    pub fn forget(&mut self, id: &SessionId) {
        if self.get(id).is_some() {
            self.empty(place(id));
        }
    }

    fn empty(&mut self, place: usize) {
        if let Some(kept) = self.places[place].take() {
            self.bytes -= kept.snapshot.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(padding: usize) -> Rc<Snapshot> {
        let record = r#"{"format":1,"created":1,"authenticated":null,"ends":9,"subject":null,"generation":[1,1],"previous":null,"floor":[1,1],"confirmed":1,"writes":[],"fields":{"a":""#;
        Rc::new(
            Snapshot::read(
                SessionId([0; 16]),
                format!("{record}{}\"}}}}", "x".repeat(padding)),
                1,
            )
            .unwrap(),
        )
    }

    fn id(number: u32) -> SessionId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_le_bytes());
        SessionId(id)
    }

    #[test]
    fn a_session_is_found_under_its_own_id_only() {
        let mut cache = Cache::default();
        cache.put(id(1), &snapshot(1));
        assert!(cache.get(&id(1)).is_some());
        // The same place, another id.
        assert!(cache.get(&id(1 + 0x1_0000)).is_none());
        cache.forget(&id(1 + 0x1_0000));
        assert!(cache.get(&id(1)).is_some());
        cache.forget(&id(1));
        assert!(cache.get(&id(1)).is_none());
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn bytes_stay_within_the_bound_whatever_comes() {
        let mut cache = Cache::default();
        for number in 0..2000 {
            cache.put(id(number % 300), &snapshot(1000 * (number as usize % 97)));
            let held: usize = cache
                .places
                .iter()
                .flatten()
                .map(|kept| kept.snapshot.bytes())
                .sum();
            assert_eq!(held, cache.bytes);
            assert!(held <= MAXIMUM_BYTES);
        }
        cache.put(id(7), &snapshot(MAXIMUM_BYTES / 4));
        assert!(cache.get(&id(7)).is_none());
    }
}
