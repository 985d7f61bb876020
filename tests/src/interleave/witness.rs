//! An engine that examines the store after a run.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tessera::{Component, ConfigurationError, Sessions};

use super::calls::Told;
use super::contents::Contents;
use super::digest::digest;
use super::engine::{refused, seen};
use super::engines::wire;
use super::plan::Plan;
use super::store::Board;

/// An engine that took no part in a run, and opens its tokens at the end.
pub struct Witness {
    sessions: Sessions,
    board: Arc<Board>,
}

impl Witness {
    /// Creates a witness for the runs of a plan.
    ///
    /// # Errors
    /// If the component refuses the plan's policy.
    pub fn new(plan: &Plan, component: &Component) -> Result<Self, ConfigurationError> {
        let board = Arc::new(Board::new(1, &[]));
        Ok(Self {
            sessions: wire(plan, component, &board, 2)?,
            board,
        })
    }

    /// Opens a session, without concurrent calls.
    pub fn open(&self, contents: &mut Contents, token: &str, now: i64) -> Told {
        self.drive(contents, now, async {
            let opened = self.sessions.open(token).await;
            opened.map_or_else(|error| refused(&error), |session| seen(&session))
        })
    }

    /// Logs a subject in, without concurrent calls.
    pub fn enter(&self, contents: &mut Contents, subject: &str, now: i64) -> Told {
        self.drive(contents, now, async {
            let entered = async { self.sessions.create().authenticate(subject).await };
            entered
                .await
                .map_or_else(|error| refused(&error), |_| Told::Token(1))
        })
    }

    fn drive(&self, contents: &mut Contents, now: i64, call: impl Future<Output = Told>) -> Told {
        self.board.set_time(now);
        let mut call = pin!(call);
        let mut asked = 0_u64;
        loop {
            if let Poll::Ready(told) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return told;
            }
            let mut port = self.board.port(0);
            let Some((now, question)) = port.asked.take() else {
                return Told::Odd("the call waits without a store operation".into());
            };
            asked += 1;
            port.answer(contents.apply(&question, now, digest(&(asked, &question))));
        }
    }
}
