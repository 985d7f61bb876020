//! A store whose replies the scheduler controls.

use std::future::poll_fn;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use sha2::{Digest as _, Sha256};
use tessera::store::{Capabilities, StoreOp, StoreReply, StoreService};
use tessera::{Clock, Random, Timestamp};
use tokio::sync::Notify;

use crate::lock;

/// The start time of all clocks: 2026-01-01T00:00:00Z, in milliseconds since 1970.
pub const START_MS: i64 = 1_767_225_600_000;

/// The exchange between a client's engine and the scheduler: at most one operation or its reply.
#[derive(Debug, Default)]
pub struct Port {
    /// The requested operation, with its time by the client's clock.
    pub asked: Option<(Timestamp, StoreOp)>,
    /// The scheduler's reply.
    pub reply: Option<StoreReply>,
    /// The number of the client's draws of random bytes.
    pub drawn: u64,
    /// Wakes the store that waits for the reply.
    waker: Option<Waker>,
}

impl Port {
    /// Gives the reply.
    pub fn answer(&mut self, reply: StoreReply) {
        self.reply = Some(reply);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The ports of all clients. An engine's operations belong to the client whose turn it is.
#[derive(Debug)]
pub struct Board {
    ports: Vec<Mutex<Port>>,
    turn: AtomicUsize,
    /// The time of clocks without an offset, in milliseconds.
    time: AtomicI64,
    /// The offset of each client's clock, in milliseconds.
    off_by: Vec<i64>,
    /// Notified of every requested operation.
    requested: Notify,
}

impl Board {
    /// Creates a board for this number of clients.
    pub fn new(clients: usize, off_by: &[i64]) -> Self {
        let ports = (0..clients).map(|_| Mutex::default()).collect();
        Self {
            ports,
            turn: AtomicUsize::new(0),
            time: AtomicI64::new(START_MS),
            off_by: off_by.to_vec(),
            requested: Notify::new(),
        }
    }

    /// Restores the initial state.
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

    /// The time of clocks without an offset, in milliseconds.
    pub fn time(&self) -> i64 {
        self.time.load(Ordering::Relaxed)
    }

    /// Sets that time.
    pub fn set_time(&self, millis: i64) {
        self.time.store(millis, Ordering::Relaxed);
    }

    /// Waits for the next operation that an engine requests.
    pub(super) async fn requested(&self) {
        self.requested.notified().await;
    }

    fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }
}

/// The clock of the client whose turn it is.
#[derive(Clone, Debug)]
pub struct BoardClock(pub Arc<Board>);

impl Clock for BoardClock {
    fn now(&self) -> Timestamp {
        let off_by = self.0.off_by.get(self.0.turn()).copied().unwrap_or(0);
        Timestamp::from_millis((self.0.time() + off_by).unsigned_abs())
    }
}

/// Reproducible random bytes, which depend on the client whose turn it is and on the number of its draws.
#[derive(Clone, Debug)]
pub struct BoardRandom {
    /// The board, which counts the draws.
    pub board: Arc<Board>,
    /// Makes the bytes of two boards different.
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

/// The store of the clients' engines.
#[derive(Clone, Debug)]
pub struct SteppedStore {
    board: Arc<Board>,
    capabilities: Capabilities,
    /// The client whose engine is over the store. Without it, operations belong to the client whose turn it is.
    client: Option<usize>,
}

impl SteppedStore {
    /// Creates a store over the ports of a board.
    pub fn new(board: Arc<Board>, capabilities: Capabilities) -> Self {
        Self {
            board,
            capabilities,
            client: None,
        }
    }

    /// Creates the store of one client.
    pub fn of_client(board: Arc<Board>, capabilities: Capabilities, client: usize) -> Self {
        Self {
            client: Some(client),
            ..Self::new(board, capabilities)
        }
    }
}

impl StoreService for SteppedStore {
    fn describe(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let client = self.client.unwrap_or_else(|| self.board.turn());
        let mut op = Some(op.clone());
        poll_fn(move |context| {
            let mut port = self.board.port(client);
            if let Some(op) = op.take() {
                // An unclaimed reply belongs to a call that was dropped.
                (port.asked, port.reply) = (Some((now, op)), None);
                port.waker = Some(context.waker().clone());
                self.board.requested.notify_one();
                return Poll::Pending;
            }
            port.waker = Some(context.waker().clone());
            port.reply.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
