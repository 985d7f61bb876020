//! The order of a node's changes, so that those that wait for one mailbox leave the connections of the pool to the others.

use std::hash::{BuildHasher, RandomState};

use tessera_connections::Name;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// The number of changes of different mailboxes that never wait for each other.
const LANES: usize = 64;

/// Mailboxes in lanes, and a limit of all changes.
pub(super) struct Queue {
    /// Changes of one mailbox have one lane, and so at most one of them waits for its row.
    lanes: Vec<Mutex<()>>,
    hasher: RandomState,
    /// Half of the connections: the other half is for the sessions.
    connections: Semaphore,
}

/// The turn of a change.
pub(super) struct Turn<'a> {
    _lane: MutexGuard<'a, ()>,
    _connection: Option<SemaphorePermit<'a>>,
}

impl Queue {
    /// Creates the queue of a pool of this size.
    pub(super) fn new(connections: u32) -> Self {
        Self {
            lanes: (0..LANES).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
            connections: Semaphore::new((connections as usize / 2).max(1)),
        }
    }

    pub(super) async fn turn(&self, name: &Name) -> Turn<'_> {
        let lane = self.hasher.hash_one(name) as usize % LANES;
        let lane = self.lanes[lane].lock().await;
        Turn {
            _lane: lane,
            // An error only after it is closed, which never happens.
            _connection: self.connections.acquire().await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn changes_of_one_mailbox_take_one_connection_and_all_take_half() {
        let queue = Queue::new(4);
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let a = name("a");
        let first = queue.turn(&a).await;
        let mut again = pin!(queue.turn(&a));
        assert!(again.as_mut().now_or_never().is_none());
        // Some other name has another lane.
        let other = (0..).map(|n| format!("b{n}")).find_map(|text| {
            let name: Name = text.parse().unwrap();
            queue.turn(&name).now_or_never().map(|turn| (name, turn))
        });
        assert!(other.is_some());
        let third = queue.turn(&name("c")).now_or_never();
        assert!(third.is_none());
        drop(first);
        assert!(again.now_or_never().is_some());
    }
}
