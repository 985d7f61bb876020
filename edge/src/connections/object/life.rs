//! The life of a connection: its session, its times, and its end.

use std::rc::Rc;

use tessera_connections::{EndReason, Head, MailboxError};
use tessera_contract::Timestamp;
use tessera_http::{EngineError as _, ErrorKind, chain};

use super::super::mailbox::object_name;
use super::super::settings::{
    GRACE, JUDGED_AGAIN_AFTER, LEASE, LEAVES_AGAIN_AFTER, RENEWED_BEFORE, SHORTEST_PAUSE, UNJUDGED_FOR,
};
use super::super::{ConnectionsError, connections_of};
use super::Inner;
use super::rows::failed;
use super::stored::Stored;
use crate::clock;
use crate::objects::set_alarm;
use crate::registry::{LIFETIME, OUTLIVES_BY};
use crate::store::StoreError;

/// The result of a judgement.
enum Judgement {
    /// The session lives, until then unless it is used.
    Lives(Timestamp),
    Over,
    /// It cannot be judged now.
    Unknown,
}

impl Stored {
    /// When [`Inner::do_what_is_due`] next has something to do.
    fn due_at(&self, now: Timestamp, has_socket: bool) -> Timestamp {
        let mut due = self.until.saturating_add(GRACE);
        if self.is_open(now) {
            if has_socket {
                due = due.min(self.until.saturating_sub(RENEWED_BEFORE));
            }
            if let Some(bound) = &self.bound {
                due = due.min(bound.ends_at).min(bound.judge_at);
            }
        }
        due
    }

    /// Whether the mailbox lives, and the connection has not ended.
    fn is_open(&self, now: Timestamp) -> bool {
        self.until > now && self.state.ended.is_none()
    }
}

impl Inner {
    /// Sets the alarm, unless an earlier one is set, which will set the next.
    pub(super) fn set_alarm(&self) -> Result<(), MailboxError> {
        let Some(mut stored) = self.rows.find()? else {
            return Ok(());
        };
        let now = clock::now();
        let due = stored.due_at(now, self.has_socket(stored.state.holder));
        // What is overdue is done soon, but never in a loop without a pause.
        let due = due.max(now.saturating_add(SHORTEST_PAUSE));
        if stored.alarm_at.is_some_and(|at| at > now && at <= due) {
            return Ok(());
        }
        stored.alarm_at = Some(due);
        self.rows.save(&stored)?;
        set_alarm(&self.state.storage(), due).map_err(|error| failed(&error))
    }

    /// Ends the connection if its session has ended. Watches the session's record first, so that no change is missed.
    pub(super) async fn judge(&self) -> Result<(), MailboxError> {
        let Some(stored) = self.rows.find()? else {
            return Ok(());
        };
        let Some(bound) = stored.bound.filter(|_| stored.state.ended.is_none()) else {
            return Ok(());
        };
        let connections = connections_of(&self.env);
        let judged = match &connections {
            Ok(connections) => {
                let object = object_name("", &stored.name);
                let watched = match bound.is_watched {
                    true => Ok(()),
                    false => {
                        let watched = connections.watch(&bound.record, &object).await;
                        if watched.is_ok() {
                            self.rows.watched()?;
                        }
                        watched
                    }
                };
                match watched {
                    Ok(()) => connections.standing(&bound.handle).await.map_err(|error| {
                        tracing::debug!("the session of a connection: {}", chain(&error));
                        error.kind()
                    }),
                    Err(StoreError::Missing) => Err(ErrorKind::Missing),
                    Err(error) => {
                        tracing::debug!("the record of a session cannot be watched: {}", chain(&error));
                        Err(ErrorKind::Unavailable)
                    }
                }
            }
            Err(_) => Err(ErrorKind::Unavailable),
        };
        self.note(match judged {
            Ok(until) => Judgement::Lives(until),
            Err(ErrorKind::Missing | ErrorKind::Expired | ErrorKind::Replaced) => Judgement::Over,
            Err(_) => Judgement::Unknown,
        })
    }

    fn note(&self, judgement: Judgement) -> Result<(), MailboxError> {
        let now = clock::now();
        // Read again, because other operations may have changed it during the judgement.
        let Some(mut stored) = self.rows.find()? else {
            return Ok(());
        };
        let Some(bound) = &mut stored.bound else {
            return Ok(());
        };
        match judgement {
            Judgement::Lives(until) => {
                bound.judge_at = until;
                bound.unjudged_since = None;
                self.rows.save(&stored)
            }
            Judgement::Over => self.end(now, EndReason::SessionOver),
            Judgement::Unknown => {
                let since = *bound.unjudged_since.get_or_insert(now);
                bound.judge_at = now.saturating_add(JUDGED_AGAIN_AFTER);
                self.rows.save(&stored)?;
                if now >= since.saturating_add(UNJUDGED_FOR) {
                    self.send_away()?;
                }
                Ok(())
            }
        }
    }

    /// Ends the notifications of a connection that has ended otherwise than with its session.
    pub(super) fn stop_watching(&self) -> Result<(), MailboxError> {
        let stored = self.rows.find()?;
        if let Some((bound, name)) = stored.and_then(|stored| Some((stored.bound?, stored.name)))
            && let Ok(connections) = connections_of(&self.env)
        {
            self.state
                .wait_until(async move { connections.unwatch(&bound.record, &name).await });
        }
        Ok(())
    }

    /// Does what is due, and sets the next alarm.
    pub(super) async fn do_what_is_due(self: Rc<Self>) -> Result<(), MailboxError> {
        let Some(mut stored) = self.rows.find()? else {
            return self.clear().await;
        };
        // The alarm is gone, also if it is early by the clock of this object.
        stored.alarm_at = None;
        self.rows.save(&stored)?;
        let now = clock::now();
        if stored.until.saturating_add(GRACE) <= now {
            return self.remove(&stored, now).await;
        }
        if stored.is_open(now) {
            match &stored.bound {
                Some(bound) if bound.ends_at <= now => {
                    self.end(now, EndReason::Expired)?;
                    self.stop_watching()?;
                }
                Some(bound) if bound.judge_at <= now => self.judge().await?,
                _ => {}
            }
            self.renew_lease(clock::now())?;
        }
        self.set_alarm()
    }

    /// Lets a mailbox live on whose client has a socket, and one for a while whose client has gone without notice.
    fn renew_lease(&self, now: Timestamp) -> Result<(), MailboxError> {
        let Some(stored) = self.rows.find()? else {
            return Ok(());
        };
        let Some(holder) = stored.state.holder.filter(|_| stored.state.ended.is_none()) else {
            return Ok(());
        };
        if stored.has_accepted && self.is_gone(holder) {
            return self.detach(holder);
        }
        if self.has_socket(Some(holder)) && stored.until.saturating_sub(RENEWED_BEFORE) <= now {
            self.rows.keep(now, now.saturating_add(LEASE))?;
        }
        Ok(())
    }

    /// Removes the connection from the lists, then the mailbox.
    async fn remove(&self, stored: &Stored, now: Timestamp) -> Result<(), MailboxError> {
        // The alarm is late, or the object was away.
        self.send_away()?;
        let left = match connections_of(&self.env) {
            Ok(connections) => {
                let session = Head::read(&stored.head).map(|head| head.session).ok();
                let record = stored.bound.as_ref().map(|bound| bound.record.as_str());
                connections.leave(session.as_deref(), record, &stored.name).await
            }
            // There are no lists any more.
            Err(ConnectionsError::None) => Ok(()),
            Err(error) => Err(error),
        };
        let Err(error) = left else {
            return self.clear().await;
        };
        tracing::debug!("a connection stays in the lists for a while: {error}");
        // Its entries have ended by then.
        if stored.until.saturating_add(LIFETIME + OUTLIVES_BY) <= now {
            return self.clear().await;
        }
        let again = clock::now().saturating_add(LEAVES_AGAIN_AFTER);
        set_alarm(&self.state.storage(), again).map_err(|error| failed(&error))
    }

    async fn clear(&self) -> Result<(), MailboxError> {
        self.rows.clear();
        let cleared = self.state.storage().delete_all().await;
        cleared.map_err(|error| failed(&error))
    }
}
