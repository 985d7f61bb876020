//! An engine that judges what a run has left.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tessera::{Component, ConfigurationError, Sessions};

use super::calls::Told;
use super::clients::{refused, seen};
use super::contents::Contents;
use super::engines::wire;
use super::plan::Plan;
use super::run::digest;
use super::store::Board;

/// An engine that has seen nothing of a run, and is shown its tokens at the end.
pub struct Witness {
    sessions: Sessions,
    board: Arc<Board>,
}

impl Witness {
    /// For the runs of a plan.
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

    /// Opens a session with nobody else about.
    pub fn open(&self, contents: &mut Contents, token: &str, now: i64) -> Told {
        self.board.set_time(now);
        let mut opening = Box::pin(async {
            let opened = self.sessions.open(token).await;
            opened.map_or_else(|error| refused(&error), |session| seen(&session))
        });
        loop {
            if let Poll::Ready(told) = opening.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return told;
            }
            let mut port = self.board.port(0);
            let Some((now, question)) = port.asked.take() else {
                return Told::Odd("it waits for nothing".into());
            };
            port.answer = Some(contents.apply(&question, now, digest(&question)));
        }
    }
}
