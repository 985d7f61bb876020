//! What an instance holds, and room reserved before a call, so that a full instance refuses and never traps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one instance holds and may hold.
#[derive(Debug)]
pub(crate) struct Room {
    maximum_sessions: usize,
    maximum_bytes: usize,
    sessions: AtomicUsize,
    bytes: AtomicUsize,
}

impl Room {
    pub(crate) fn new(maximum_sessions: usize, maximum_bytes: usize) -> Self {
        Self {
            maximum_sessions,
            maximum_bytes,
            sessions: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// How many sessions are open.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }
}

/// Takes `amount` unless that passes the maximum.
fn take(counter: &AtomicUsize, amount: usize, maximum: usize) -> bool {
    let add = |held: usize| held.checked_add(amount).filter(|sum| *sum <= maximum);
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
        .is_ok()
}

/// Room for a call that is under way; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    room: Arc<Room>,
    sessions: usize,
    bytes: usize,
}

impl Reservation {
    /// Reserves room; `None` at the bound.
    pub(crate) fn new(room: &Arc<Room>, sessions: usize, bytes: usize) -> Option<Self> {
        if !take(&room.sessions, sessions, room.maximum_sessions) {
            return None;
        }
        if !take(&room.bytes, bytes, room.maximum_bytes) {
            room.sessions.fetch_sub(sessions, Ordering::Relaxed);
            return None;
        }
        Some(Self {
            room: Arc::clone(room),
            sessions,
            bytes,
        })
    }

    /// As much room in another instance.
    pub(crate) fn moved_to(&self, room: &Arc<Room>) -> Option<Self> {
        Self::new(room, self.sessions, self.bytes)
    }

    /// Turns the room for one session into what an open handle holds.
    pub(crate) fn hold(mut self, bytes: usize) -> Holding {
        let held = bytes.min(self.bytes);
        self.bytes -= held;
        self.sessions -= 1;
        Holding {
            room: Arc::clone(&self.room),
            bytes: AtomicUsize::new(held),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room.sessions.fetch_sub(self.sessions, Ordering::Relaxed);
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What one open handle holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Holding {
    room: Arc<Room>,
    bytes: AtomicUsize,
}

impl Holding {
    /// Where more can be reserved.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Bytes that it holds now.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes more, for a change that waits to be saved; `false` at the bound.
    pub(crate) fn grow(&self, bytes: usize) -> bool {
        let granted = take(&self.room.bytes, bytes, self.room.maximum_bytes);
        if granted {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        granted
    }

    /// Notes what it holds after a save, never more than before it and what was reserved for it.
    pub(crate) fn settle(&self, reservation: Reservation, bytes: usize) {
        let allowed = self.bytes() + reservation.bytes;
        let after = bytes.min(allowed);
        let mut reservation = reservation;
        let before = self.bytes.swap(after, Ordering::Relaxed);
        // What was held and reserved goes back, but for what is held now.
        reservation.bytes = (before + reservation.bytes).saturating_sub(after);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.room.sessions.fetch_sub(1, Ordering::Relaxed);
        self.room.bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_to_the_bound_and_given_back_whole() {
        let room = Arc::new(Room::new(2, 100));
        let first = Reservation::new(&room, 1, 60).unwrap();
        assert!(Reservation::new(&room, 1, 41).is_none());
        let second = Reservation::new(&room, 1, 40).unwrap();
        assert!(Reservation::new(&room, 1, 0).is_none());
        drop(second);

        let held = first.hold(10);
        assert_eq!((held.bytes(), room.sessions()), (10, 1));
        assert!(held.grow(90) && !held.grow(1));
        assert!(Reservation::new(&room, 0, 1).is_none());
        drop(held);

        let again = Reservation::new(&room, 1, 100).unwrap().hold(100);
        let more = Reservation::new(&room, 0, 0).unwrap();
        again.settle(more, 30);
        let more = Reservation::new(&room, 0, 70).unwrap();
        again.settle(more, 80);
        assert_eq!(again.bytes(), 80);
        drop(again);
        assert!(Reservation::new(&room, 2, 100).is_some());
    }
}
