//! Runs a statement: on a connection of the pool, within a deadline, and with retries if they are safe.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::dialect::{Access, Dialect};
use super::driver::{Pool, Suspicion};
use super::error::{Fault, SqlError, Verdict};
use super::lease::Lease;
use super::statement::{Answer, Param, Sql};

/// The maximum number of attempts after connection errors: so many failures in a row are an outage.
const MAXIMUM_TRIES: u32 = 5;

/// The maximum number of attempts after conflicts with other transactions, as in a deadlock: the others make progress, so more
/// attempts are worthwhile.
const MAXIMUM_TRIES_BESIDE_OTHERS: u32 = 15;

/// The longest pause before the first retry. It doubles for each of the next four retries, and then stays the same.
const PAUSE: Duration = Duration::from_millis(10);
const DOUBLINGS: u32 = 4;

/// How much longer than the server's own limit the store waits for an answer, because the server's time-out error means for
/// certain that nothing was done.
const SLACK: Duration = Duration::from_millis(500);

/// The kind of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A read, which may be repeated after any error.
    Read,
    /// A write, which is repeated only if it was certainly not done.
    Write,
}

pub(super) struct Retrier {
    pub(super) pool: Pool,
    pub(super) suspicion: Arc<Suspicion>,
    pub(super) acquire_timeout: Duration,
    pub(super) statement_timeout: Duration,
    pub(super) access: Access,
    pub(super) is_closed: AtomicBool,
}

impl Retrier {
    /// The deadline of a call that begins now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.acquire_timeout + self.statement_timeout + SLACK
    }

    /// Runs a statement until it succeeds, fails in a way that a retry does not help, or reaches the deadline.
    pub(super) async fn ask(
        &self,
        deadline: Instant,
        kind: Kind,
        sql: &Sql,
        params: &[Param<'_>],
    ) -> Result<Answer, Fault> {
        self.check_access(kind)?;
        let mut tries = 1;
        loop {
            let fault = match self.once(deadline, kind, sql, params).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            self.pause_after(fault, kind, tries, deadline).await?;
            tries += 1;
        }
    }

    /// Refuses a write to a store that is opened read-only.
    pub(super) fn check_access(&self, kind: Kind) -> Result<(), Fault> {
        if (self.access, kind) == (Access::Read, Kind::Write) {
            return Err(Fault {
                verdict: Verdict::Mistake,
                error: SqlError::OpenedToRead,
            });
        }
        Ok(())
    }

    /// Waits before the next attempt; returns the fault of the last one if a further attempt does not help.
    pub(super) async fn pause_after(
        &self,
        fault: Fault,
        kind: Kind,
        tries: u32,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let most = match fault.verdict {
            Verdict::Again => MAXIMUM_TRIES_BESIDE_OTHERS,
            Verdict::Reconnect => MAXIMUM_TRIES,
            // A statement that timed out is not repeated, because it would time out again.
            Verdict::Unknown if kind == Kind::Read && fault.error != SqlError::TimedOut => MAXIMUM_TRIES,
            _ => 1,
        };
        let pause = jittered(PAUSE * 2_u32.pow((tries - 1).min(DOUBLINGS)));
        if tries >= most || Instant::now() + pause >= deadline {
            return Err(fault);
        }
        sleep(pause).await;
        Ok(())
    }

    async fn once(
        &self,
        deadline: Instant,
        kind: Kind,
        sql: &Sql,
        params: &[Param<'_>],
    ) -> Result<Answer, Fault> {
        let mut lease = self.lease(deadline).await?;
        let answer = self
            .within(deadline, lease.ask(sql, params, kind == Kind::Read))
            .await;
        self.end(lease, answer)
    }

    /// Ends a lease with the answer of its last statement. A fault before anything may be done is one of nothing done.
    pub(super) fn end<T>(&self, lease: Lease, answer: Result<T, Fault>) -> Result<T, Fault> {
        let may_be_done = lease.may_be_done();
        let is_useless = |fault: &Fault| matches!(fault.verdict, Verdict::Unknown | Verdict::Reconnect);
        if answer.as_ref().is_err_and(is_useless) {
            self.suspicion.raise();
        } else {
            lease.give_back();
        }
        answer.map_err(|fault| if may_be_done { fault } else { fault.undone() })
    }

    /// Leases a connection, which may run several statements.
    pub(super) async fn lease(&self, deadline: Instant) -> Result<Lease, Fault> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Fault::not_done(SqlError::Closed));
        }
        // Boxed, because its future of 18 KB would make that of every call as large.
        match timeout_at(deadline, Box::pin(self.pool.lease())).await {
            Ok(Ok(lease)) => Ok(lease),
            // After any error here, the statement was not sent.
            Ok(Err(error)) => Err(Fault::not_done(Dialect::judge(&error).error)),
            Err(_) => Err(Fault::not_done(SqlError::NoConnection)),
        }
    }

    /// Waits for an answer, at most for the longest time of a statement.
    pub(super) async fn within<T>(
        &self,
        deadline: Instant,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Fault> {
        let deadline = deadline.min(Instant::now() + self.statement_timeout + SLACK);
        match timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(|error| Dialect::judge(&error)),
            Err(_) => Err(Fault {
                verdict: Verdict::Unknown,
                error: SqlError::TimedOut,
            }),
        }
    }
}

/// A random pause between half of it and all of it, so that two colliding statements do not collide again.
fn jittered(pause: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u32::MAX))
}
