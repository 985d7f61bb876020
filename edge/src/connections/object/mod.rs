//! The Durable Object of one connection: its mailbox, and its client's socket or poll.
//!
//! A WebSocket does not keep the object in memory: the runtime keeps it, and wakes the object for its events.

mod life;
mod messages;
mod rows;
mod sockets;
mod stored;
mod waiting;

use std::rc::Rc;

use tessera_connections::{
    Delivery, EndReason, Head, Holder, Limit, Login, MailboxError, MessageId, Reader, Return,
};
use tessera_contract::Timestamp;
use tessera_http::chain;
use wasm_bindgen::prelude::*;
use worker::worker_sys::DurableObjectState;
use worker::{Env, State};

use self::rows::Rows;
use self::stored::Bound;
use self::waiting::Changes;
use super::protocol::{Found, Reply, Request};
use super::settings::{BOUNDS, DETACHED_FOR, JUDGED_AGAIN_AFTER, MAXIMUM_CLOSING, PAUSE_OF_CLOSING};
use crate::clock;
use crate::store::{Cause, StoreError};

/// One connection. The runtime creates the object, and calls it for one operation after another.
#[wasm_bindgen]
pub struct ConnectionObject {
    inner: Rc<Inner>,
}

impl std::fmt::Debug for ConnectionObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionObject").finish_non_exhaustive()
    }
}

/// The parts of the object. Calls that wait hold them.
struct Inner {
    state: State,
    env: Env,
    rows: Rows,
    changes: Changes,
}

#[wasm_bindgen]
impl ConnectionObject {
    /// Creates the object over the runtime's storage.
    #[wasm_bindgen(constructor)]
    pub fn new(state: DurableObjectState, env: Env) -> Self {
        #[cfg(feature = "test-routes")]
        crate::faults::connection_made();
        let state = State::from(state);
        let inner = Inner {
            rows: Rows::new(state.storage().sql()),
            changes: Changes::default(),
            state,
            env,
        };
        Self {
            inner: Rc::new(inner),
        }
    }

    /// Performs one operation; request and answer are JSON texts. A failure of the storage is an answer.
    ///
    /// # Errors
    /// If the request cannot be read.
    pub async fn ask(&self, question: String) -> Result<String, JsError> {
        let question: Request = serde_json::from_str(&question)?;
        let inner = Rc::clone(&self.inner);
        let answer = inner.answer(question).await.unwrap_or_else(Reply::Refused);
        Ok(serde_json::to_string(&answer)?)
    }

    /// Judges the session, whose record has changed. Returns whether the object is to be notified of the next change.
    ///
    /// # Errors
    /// If the storage fails; the record's object then repeats the notification.
    pub async fn changed(&self) -> Result<bool, JsError> {
        let inner = Rc::clone(&self.inner);
        inner.judge().await?;
        inner.set_alarm()?;
        Ok(inner
            .rows
            .find()?
            .is_some_and(|stored| stored.state.ended.is_none()))
    }

    /// Does what is due, and sets the next alarm.
    ///
    /// # Errors
    /// If the storage fails; the runtime then calls again.
    pub async fn alarm(&self) -> Result<(), JsError> {
        #[cfg(feature = "test-routes")]
        crate::faults::connection_alarm();
        let inner = Rc::clone(&self.inner);
        Ok(inner.do_what_is_due().await?)
    }
}

/// Performs the operations.
impl Inner {
    async fn answer(&self, question: Request) -> Result<Reply, MailboxError> {
        match question {
            Request::Open {
                now,
                name,
                head,
                until,
            } => {
                self.rows.open(now, &name, &head, until)?;
                self.set_alarm()?;
                Ok(Reply::Done)
            }
            Request::Append {
                now,
                message,
                key,
                stamp,
                bounds,
            } => {
                let appended = self.rows.append(now, &message, key.as_ref(), stamp, &bounds);
                let changes = match &appended {
                    Ok((_, is_new)) => *is_new,
                    // The rule of a full mailbox may have ended it.
                    Err(error) => matches!(error, MailboxError::Ended),
                };
                if changes && let Err(error) = self.deliver(now) {
                    // The message is stored, and is delivered with the next one or when the client comes back.
                    tracing::error!("a message was not delivered: {}", chain(&error));
                }
                appended.map(|(id, _)| Reply::Appended(id))
            }
            Request::Attach { now, holder, until } => {
                self.attach(now, holder, until)?;
                Ok(Reply::Done)
            }
            Request::Detach { now, holder, until } => {
                let applied = self.rows.detach(now, holder, until)?;
                self.set_alarm()?;
                Ok(Reply::Applied(applied))
            }
            Request::End { now, reason, until } => {
                let applied = self.rows.end(now, reason, until)?;
                if applied {
                    self.deliver(now)?;
                    self.stop_watching()?;
                }
                self.set_alarm()?;
                Ok(Reply::Applied(applied))
            }
            Request::Read { now, after, limit } => Ok(Reply::Batch(self.rows.read(now, after, limit)?)),
            Request::Acknowledge {
                now,
                holder,
                through,
                replay,
            } => {
                self.rows.acknowledge(now, holder, through, replay)?;
                Ok(Reply::Done)
            }
            Request::Keep { now, until } => {
                let kept = self.rows.keep(now, until)?;
                Ok(Reply::Applied(kept))
            }
            Request::Look { now } => {
                let found = self.rows.look(now)?;
                Ok(Reply::Found(found.map(|walked| Found {
                    is_attached: walked.ended.is_none()
                        && walked.holder.is_some_and(|holder| !self.is_gone(holder)),
                    walked,
                })))
            }
            Request::Bind { handle, key } => self.bind(handle, key).await,
            Request::Join { login, holder, after } => self.join(&login, holder, after),
            Request::Poll {
                holder,
                after,
                wait_ms,
            } => self.poll(holder, after, wait_ms).await.map(Reply::Deliveries),
        }
    }

    async fn bind(&self, handle: String, record: String) -> Result<Reply, MailboxError> {
        let now = clock::now();
        let ends_at = self.head()?.ends_at;
        let bound = Bound {
            handle,
            record,
            ends_at,
            judge_at: now.saturating_add(JUDGED_AGAIN_AFTER),
            unjudged_since: None,
            is_watched: false,
        };
        self.rows.bind(now, bound)?;
        self.set_alarm()?;
        self.judge().await?;
        self.set_alarm()?;
        let stored = self.rows.live(clock::now())?;
        stored.state.check_open()?;
        // A connection is opened only if the end of its session will be noticed at once.
        match stored.bound.is_some_and(|bound| bound.is_watched) {
            true => Ok(Reply::Done),
            false => Err(StoreError::Unavailable(Cause::new("the session cannot be watched")).into()),
        }
    }

    fn head(&self) -> Result<Head, MailboxError> {
        let stored = self.rows.live(clock::now())?;
        Head::read(&stored.head).map_err(|_| StoreError::Corrupt.into())
    }

    /// Makes `holder` the holder. Any other client is taken over.
    fn attach(&self, now: Timestamp, holder: Holder, until: Timestamp) -> Result<(), MailboxError> {
        self.rows.attach(now, holder, until)?;
        self.take_over(holder)?;
        self.changes.note();
        self.set_alarm()
    }

    fn join(&self, login: &Login, holder: Holder, after: MessageId) -> Result<Reply, MailboxError> {
        let now = clock::now();
        // A connection of another login is missing, so that the answer tells nothing of it.
        if !self.head()?.is_of(login) {
            return Err(MailboxError::Missing);
        }
        // The runtime keeps what it has not sent to a socket that closes.
        if self.others(self.rows.live(now)?.state.holder) >= MAXIMUM_CLOSING {
            return Err(StoreError::Throttled(PAUSE_OF_CLOSING).into());
        }
        // Until its socket or its poll is there.
        let until = now.saturating_add(DETACHED_FOR);
        match self.attach(now, holder, until) {
            Ok(()) => {
                // The client before may have had a socket, whose lease is longer.
                self.rows.lives_until(now, until)?;
                self.set_alarm()?;
                Ok(Reply::Done)
            }
            Err(MailboxError::Ended) => {
                let one = Limit {
                    messages: 1,
                    bytes: 1,
                };
                match self.rows.read(now, after, one)?.on_return() {
                    Return::Rest => Ok(Reply::Done),
                    Return::Anew => Err(MailboxError::Missing),
                    Return::Over => Err(MailboxError::Ended),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn poll(
        &self,
        holder: Holder,
        after: MessageId,
        wait_ms: u64,
    ) -> Result<Vec<Delivery>, MailboxError> {
        let until = clock::now().saturating_add(std::time::Duration::from_millis(wait_ms));
        self.rows.keep(clock::now(), until.saturating_add(DETACHED_FOR))?;
        self.set_alarm()?;
        let mut reader = Reader::new(holder, after);
        // The client has received what precedes its cursor.
        self.rows
            .acknowledge(clock::now(), holder, after, BOUNDS.replay_messages)?;
        loop {
            let (now, known) = (clock::now(), self.changes.number());
            let deliveries = reader.take(self.rows.read(now, reader.after(), Limit::default())?);
            if !deliveries.is_empty() || now >= until {
                self.detach(holder)?;
                return Ok(deliveries);
            }
            self.changes.after(known, until.millis_since(now)).await;
        }
    }

    /// Notes that the client of this holder has gone.
    fn detach(&self, holder: Holder) -> Result<(), MailboxError> {
        let now = clock::now();
        self.rows.detach(now, holder, now.saturating_add(DETACHED_FOR))?;
        self.set_alarm()
    }

    /// Ends the connection.
    fn end(&self, now: Timestamp, reason: EndReason) -> Result<(), MailboxError> {
        self.rows.end(now, reason, now.saturating_add(DETACHED_FOR))?;
        self.deliver(now)
    }
}
