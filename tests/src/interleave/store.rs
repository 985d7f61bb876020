//! A store that answers when the scheduler says so.

use std::future::poll_fn;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use sha2::{Digest as _, Sha256};
use tessera::store::{Capabilities, StoreOp, StoreReply, StoreService};
use tessera::{Clock, Random, Timestamp};

/// 2026-01-01T00:00:00Z, where all clocks start.
pub const START_MS: i64 = 1_767_225_600_000;

/// Where a client's engine and the scheduler meet: at most one question waits, or its answer.
#[derive(Debug, Default)]
pub struct Port {
    /// What is asked, and at which time of the client's clock.
    pub asked: Option<(Timestamp, StoreOp)>,
    /// What the scheduler has answered.
    pub reply: Option<StoreReply>,
    /// How often the client has drawn random bytes.
    pub drawn: u64,
}

/// All clients' ports, and whose turn it is: what an engine asks, it asks for that one.
#[derive(Debug)]
pub struct Board {
    ports: Vec<Mutex<Port>>,
    turn: AtomicUsize,
    /// The time of all clocks that are right, in milliseconds.
    time: AtomicI64,
    /// How far each client's clock is off, in milliseconds.
    off_by: Vec<i64>,
}

impl Board {
    /// For so many clients.
    pub fn new(clients: usize, off_by: &[i64]) -> Self {
        let ports = (0..clients).map(|_| Mutex::default()).collect();
        Self {
            ports,
            turn: AtomicUsize::new(0),
            time: AtomicI64::new(START_MS),
            off_by: off_by.to_vec(),
        }
    }

    /// As it was at the beginning.
    pub fn reset(&self) {
        self.time.store(START_MS, Ordering::Relaxed);
        self.ports.iter().for_each(|port| *lock(port) = Port::default());
    }

    /// Gives a client its turn.
    pub fn turn_to(&self, client: usize) {
        self.turn.store(client, Ordering::Relaxed);
    }

    /// A client's port.
    pub fn port(&self, client: usize) -> MutexGuard<'_, Port> {
        lock(&self.ports[client])
    }

    /// The time of all clocks that are right, in milliseconds.
    pub fn time(&self) -> i64 {
        self.time.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set_time(&self, millis: i64) {
        self.time.store(millis, Ordering::Relaxed);
    }

    fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }
}

/// The clock of whose turn it is.
#[derive(Clone, Debug)]
pub struct BoardClock(pub Arc<Board>);

impl Clock for BoardClock {
    fn now(&self) -> Timestamp {
        let off_by = self.0.off_by.get(self.0.turn()).copied().unwrap_or(0);
        Timestamp::from_millis((self.0.time() + off_by).unsigned_abs())
    }
}

/// Bytes that depend on whose turn it is and how many came before, so that a run can be repeated.
#[derive(Clone, Debug)]
pub struct BoardRandom {
    /// Where the draws are counted.
    pub board: Arc<Board>,
    /// Sets apart the bytes of two boards.
    pub seed: u64,
}

impl Random for BoardRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let client = self.board.turn();
        let mut port = self.board.port(client);
        for (block, chunk) in bytes.chunks_mut(32).enumerate() {
            let mut hash = Sha256::new();
            for number in [self.seed, client as u64, port.drawn, block as u64] {
                hash.update(number.to_le_bytes());
            }
            chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
        }
        port.drawn += 1;
        Ok(())
    }
}

/// The clients' way to the store.
#[derive(Clone, Debug)]
pub struct SteppedStore {
    board: Arc<Board>,
    capabilities: Capabilities,
}

/// The lock cannot be held across a panic that anybody outlives.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SteppedStore {
    /// Asks at the ports of a board.
    pub fn new(board: Arc<Board>, capabilities: Capabilities) -> Self {
        Self { board, capabilities }
    }
}

impl StoreService for SteppedStore {
    fn describe(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let (mut op, client) = (Some(op.clone()), self.board.turn());
        poll_fn(move |_| {
            let mut port = self.board.port(client);
            if let Some(op) = op.take() {
                // A reply that nobody took belongs to a call that was dropped.
                (port.asked, port.reply) = (Some((now, op)), None);
                return Poll::Pending;
            }
            port.reply.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
