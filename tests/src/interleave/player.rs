//! One client from the scheduler's view: it requests a store operation, waits, and continues with the reply.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use tessera::Timestamp;
use tessera::store::{StoreOp, StoreReply};
use tokio::runtime::Runtime;

use super::calls::Call;
use super::clients::{Client, Log};
use super::digest::digest;
use super::engine::Engine;
use super::linear::Observed;
use super::plan::{Act, Plan};
use super::store::{Board, BoardClock};
use crate::lock;

/// A store operation, with its time by the client's clock.
pub type Asked = (Timestamp, StoreOp);

/// The state of a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Stand {
    /// The store operation that it waits for.
    pub asked: Option<Asked>,
    /// The hash of `asked`.
    pub question: u64,
    /// Whether it has not ended.
    pub is_there: bool,
    /// Its calls with their results.
    pub log: Log,
    /// The hash of each call's time and result.
    pub told: Vec<u64>,
    /// The hash of the whole log.
    pub past: u64,
}

impl Stand {
    fn new(asked: Option<Asked>, is_there: bool, log: Log) -> Self {
        let told = |call: &Observed| digest(&(call.now, &call.told));
        let calls: Vec<_> = log.calls.iter().map(|call| (&call.call, told(call))).collect();
        Self {
            question: digest(&asked),
            past: digest(&(&calls, &log.tokens)),
            told: calls.into_iter().map(|(_, told)| told).collect(),
            asked,
            is_there,
            log,
        }
    }
}

/// A client that waits for a store operation, or has ended.
pub trait Player {
    /// The state.
    fn stand(&self) -> &Rc<Stand>;
    /// Whether it was not stopped and has not ended.
    fn is_there(&self) -> bool;
    /// Whether its caller has gone away.
    fn leaves(&self) -> bool;
    /// Records that its operation was requested.
    fn hear(&mut self);
    /// Its caller goes away: the call in progress is the last one.
    fn leave(&mut self);
    /// Drops the client in its present state.
    fn stop(&mut self);
    /// Delivers the reply at this time, and runs the client to its next operation.
    fn answer(&mut self, time: i64, answer: StoreReply);
}

/// The maximum wait for an engine in another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that runs on its engine.
pub struct Live {
    which: usize,
    /// For an engine in another process, which continues by itself.
    runtime: Option<Rc<Runtime>>,
    board: Arc<Board>,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    stand: Rc<Stand>,
    log: Arc<Mutex<Log>>,
    leaves: Arc<AtomicBool>,
}

impl Live {
    /// Creates a client and runs it to its first store operation.
    ///
    /// The runtime is that of an engine in another process.
    pub fn start<E: Engine>(
        (plan, board): (&Plan, &Arc<Board>),
        (sessions, runtime): (&E, Option<&Rc<Runtime>>),
        which: usize,
        program: Vec<Act>,
        token: Option<String>,
    ) -> Self {
        let (log, leaves) = (Arc::<Mutex<Log>>::default(), Arc::<AtomicBool>::default());
        let client = Client {
            number: which,
            sessions: sessions.clone(),
            program,
            token,
            log: Arc::clone(&log),
            clock: BoardClock(Arc::clone(board)),
            leaves: Arc::clone(&leaves),
            repeats: plan.repeats,
        };
        let mut live = Self {
            which,
            runtime: runtime.cloned(),
            board: Arc::clone(board),
            future: Some(Box::pin(client.run())),
            stand: Rc::new(Stand::new(None, true, Log::default())),
            log,
            leaves,
        };
        live.poll();
        live
    }

    fn poll(&mut self) {
        self.board.turn_to(self.which);
        let has_ended = match (&mut self.future, &self.runtime) {
            (None, _) => false,
            (Some(future), None) => future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready(),
            (Some(future), Some(runtime)) => {
                let (board, which) = (&self.board, self.which);
                let has_asked = async {
                    while board.port(which).asked.is_none() {
                        board.requested().await;
                    }
                };
                let run = async {
                    tokio::select! {
                        biased;
                        () = future => true,
                        () = has_asked => false,
                    }
                };
                // Without a request in this time, the run is judged as one that hangs.
                runtime.block_on(async { tokio::time::timeout(PATIENCE, run).await.unwrap_or(false) })
            }
        };
        if has_ended {
            self.future = None;
        }
        let asked = self.board.port(self.which).asked.take();
        let stand = Stand::new(asked, self.future.is_some(), lock(&self.log).clone());
        self.stand = Rc::new(stand);
    }
}

impl Player for Live {
    fn stand(&self) -> &Rc<Stand> {
        &self.stand
    }

    fn is_there(&self) -> bool {
        self.future.is_some()
    }

    fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    fn hear(&mut self) {
        let mut log = lock(&self.log);
        let (Some(call), Some(asked)) = (log.calls.last_mut(), &self.stand.asked) else {
            return;
        };
        call.asked = true;
        // A draft has a key only when it is stored.
        if let (Call::Login { key, .. }, StoreOp::Insert { key: stored, .. }) = (&mut call.call, &asked.1) {
            key.clone_from(stored);
        }
    }

    fn leave(&mut self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    fn stop(&mut self) {
        self.future = None;
    }

    fn answer(&mut self, time: i64, answer: StoreReply) {
        self.board.set_time(time);
        self.board.port(self.which).answer(answer);
        self.poll();
    }
}
