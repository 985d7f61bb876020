//! One mailbox in a transaction: the decisions of its [`State`], and their statements.

use tessera_connections::{
    Admission, Bounds, EndReason, Holder, MailboxError, Message, MessageId, Name, SendKey, State,
};
use tessera_contract::Timestamp;
use tokio::time::Instant;

use super::super::error::Fault;
use super::super::lease::Lease;
use super::super::retry::Retrier;
use super::super::rows::millis;
use super::super::statement::{Param, Row, Sql};
use super::rows::{evicted, id, stamp, state};
use super::statements::Statements;
use crate::StoreError;

/// The number of messages that are read for an eviction at a time.
const EVICTED_AT_ONCE: u64 = 16;

/// The change of one mailbox.
#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    Append {
        message: &'a Message,
        key: Option<&'a SendKey>,
        stamp: u32,
        size: usize,
        bounds: &'a Bounds,
    },
    /// The node that attaches also watches.
    Attach {
        holder: Holder,
        until: Timestamp,
    },
    Detach {
        holder: Holder,
        until: Timestamp,
    },
    End {
        reason: EndReason,
        until: Timestamp,
    },
    Acknowledge {
        holder: Holder,
        through: MessageId,
        replay: u32,
    },
    /// The node is notified of the next change.
    Watch,
}

/// The result of a change.
pub(super) enum Done {
    Appended(MessageId),
    /// Whether the change applied: not for another holder, or after an earlier end.
    Applied(bool),
}

/// The failure of a transaction, of which nothing is stored.
pub(super) enum Failed {
    Statement(Fault),
    Store(StoreError),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Statement(fault)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The surroundings of a transaction.
pub(super) struct Scene<'a> {
    pub(super) retrier: &'a Retrier,
    pub(super) statements: &'a Statements,
    pub(super) deadline: Instant,
    pub(super) node: i64,
    pub(super) name: &'a Name,
}

impl Scene<'_> {
    fn name(&self) -> Param<'_> {
        Param::Bytes(self.name.as_str().as_bytes())
    }
}

/// A live mailbox, which the transaction has locked.
pub(super) struct Open<'a> {
    scene: &'a Scene<'a>,
    lease: &'a mut Lease,
    state: State,
    until: Timestamp,
}

/// Applies a change in a transaction that has begun. A refusal is committed too, because it may have evicted messages or ended
/// the connection.
pub(super) async fn apply(
    scene: &Scene<'_>,
    lease: &mut Lease,
    now: Timestamp,
    change: Change<'_>,
) -> Result<Result<Done, MailboxError>, Failed> {
    let Some(mut open) = Open::find(scene, lease, now).await? else {
        return Ok(Err(MailboxError::Missing));
    };
    let (state, until) = (open.state.clone(), open.until);
    let done = open.apply(change).await?;
    if open.state != state || open.until != until {
        open.save(matches!(change, Change::Acknowledge { .. })).await?;
    }
    Ok(done)
}

fn signed(number: u64) -> Param<'static> {
    Param::Number(number.cast_signed())
}

impl<'a> Open<'a> {
    async fn find(
        scene: &'a Scene<'a>,
        lease: &'a mut Lease,
        now: Timestamp,
    ) -> Result<Option<Self>, Failed> {
        let params = [scene.name(), Param::Number(millis(now))];
        let answer = lease.ask(&scene.statements.find, &params, true);
        let rows = scene.retrier.within(scene.deadline, answer).await?.rows;
        let Some(row) = rows.first() else { return Ok(None) };
        let (state, until) = state(row, scene.name)?;
        Ok(Some(Self {
            scene,
            lease,
            state,
            until,
        }))
    }

    async fn rows(&mut self, sql: &Sql, params: &[Param<'_>]) -> Result<Vec<Row>, Failed> {
        let answer = self.lease.ask(sql, params, true);
        Ok(self.scene.retrier.within(self.scene.deadline, answer).await?.rows)
    }

    async fn run(&mut self, sql: &Sql, params: &[Param<'_>]) -> Result<(), Failed> {
        let answer = self.lease.ask(sql, params, false);
        self.scene.retrier.within(self.scene.deadline, answer).await?;
        Ok(())
    }

    async fn apply(&mut self, change: Change<'_>) -> Result<Result<Done, MailboxError>, Failed> {
        let applied = match change {
            Change::Append {
                message,
                key,
                stamp,
                size,
                bounds,
            } => return self.append(message, key, stamp, size, bounds).await,
            Change::Attach { holder, until } => {
                if let Err(error) = self.state.attach(holder) {
                    return Ok(Err(error));
                }
                self.until = self.until.max(until);
                self.watch().await?;
                true
            }
            Change::Detach { holder, until } => {
                let was_holder = self.state.detach(holder);
                if was_holder {
                    self.until = until;
                }
                let others = self.state.holder.map(|other| other.node);
                if others != Some(holder.node) {
                    // Nobody reads here any more. A read watches again.
                    let params = [self.scene.name(), Param::Number(self.scene.node)];
                    self.run(&self.scene.statements.unwatch, &params).await?;
                }
                was_holder
            }
            Change::End { reason, until } => {
                let ends = self.state.end(reason);
                if ends {
                    self.until = until;
                }
                ends
            }
            Change::Acknowledge {
                holder,
                through,
                replay,
            } => {
                self.acknowledge(holder, through, replay).await?;
                true
            }
            Change::Watch => {
                self.watch().await?;
                true
            }
        };
        Ok(Ok(Done::Applied(applied)))
    }

    async fn watch(&mut self) -> Result<(), Failed> {
        let scene = self.scene;
        let params = [scene.name(), Param::Number(scene.node)];
        self.run(&scene.statements.watch, &params).await
    }

    async fn append(
        &mut self,
        message: &Message,
        key: Option<&SendKey>,
        stamp: u32,
        size: usize,
        bounds: &Bounds,
    ) -> Result<Result<Done, MailboxError>, Failed> {
        let scene = self.scene;
        let key = key.map(|key| key.as_str().as_bytes());
        if let Some(key) = key {
            let params = [scene.name(), signed(self.state.keyed_from()), Param::Bytes(key)];
            let rows = self.rows(&scene.statements.find_key, &params).await?;
            if let Some(row) = rows.first() {
                return Ok(Ok(Done::Appended(id(row)?)));
            }
        }
        if let Err(error) = self.state.check_open() {
            return Ok(Err(error));
        }
        let first = self.state.first;
        let admitted = self.admit(size, bounds).await?;
        if self.state.first > first {
            self.delete_evicted().await?;
        }
        let number = match admitted {
            Ok(number) => number,
            Err(error) => return Ok(Err(error)),
        };
        let params = [
            scene.name(),
            signed(number),
            Param::Number(i64::from(stamp)),
            Param::Optional(key),
            Param::Optional(message.event().map(str::as_bytes)),
            Param::Bytes(message.data().as_bytes()),
        ];
        self.run(&scene.statements.store, &params).await?;
        self.state.stored(size);
        Ok(Ok(Done::Appended(MessageId { number, stamp })))
    }

    /// Returns the number of a message of this size, after evictions if it needs room.
    async fn admit(&mut self, size: usize, bounds: &Bounds) -> Result<Result<u64, MailboxError>, Failed> {
        let mut oldest = Vec::new().into_iter();
        loop {
            match self.state.admit(size, bounds) {
                Ok(Admission::Store(number)) => return Ok(Ok(number)),
                Ok(Admission::Evict) => {}
                Err(error) => return Ok(Err(error)),
            }
            if oldest.as_slice().is_empty() {
                oldest = self.oldest(EVICTED_AT_ONCE).await?.into_iter();
            }
            let (stamp, size) = oldest.next().ok_or(StoreError::Corrupt)?;
            self.state.evicted(stamp, size);
        }
    }

    async fn acknowledge(&mut self, holder: Holder, through: MessageId, replay: u32) -> Result<(), Failed> {
        let scene = self.scene;
        if self.state.holder != Some(holder) {
            return Ok(());
        }
        let params = [scene.name(), signed(through.number)];
        let rows = self.rows(&scene.statements.stamp_of, &params).await?;
        let stored = rows.first().map(|row| stamp(row, 0)).transpose()?;
        if !self.state.place(through, stored).1 {
            return Ok(());
        }
        let evictions = self.state.acknowledge(through.number, replay);
        if evictions == 0 {
            return Ok(());
        }
        let oldest = self.oldest(evictions).await?;
        if oldest.len() as u64 != evictions {
            return Err(StoreError::Corrupt.into());
        }
        for (stamp, size) in oldest {
            self.state.evicted(stamp, size);
        }
        self.delete_evicted().await
    }

    /// The stamps and sizes of the oldest messages.
    async fn oldest(&mut self, limit: u64) -> Result<Vec<(u32, usize)>, Failed> {
        let scene = self.scene;
        let params = [scene.name(), signed(self.state.first), signed(limit)];
        let rows = self.rows(&scene.statements.oldest, &params).await?;
        let oldest: Result<Vec<_>, StoreError> = rows.iter().map(evicted).collect();
        Ok(oldest?)
    }

    async fn delete_evicted(&mut self) -> Result<(), Failed> {
        let scene = self.scene;
        let params = [scene.name(), signed(self.state.first)];
        self.run(&scene.statements.evict, &params).await
    }

    /// Stores the state, and notifies the other nodes unless it is quiet.
    async fn save(&mut self, is_quiet: bool) -> Result<(), Failed> {
        let scene = self.scene;
        let state = self.state.clone();
        let holder = state.holder.map(|holder| holder.to_string());
        let ended = state.ended.map(EndReason::as_str);
        let params = [
            scene.name(),
            Param::Number(scene.node),
            signed(state.first),
            Param::Number(i64::from(state.before)),
            signed(state.next),
            signed(state.bytes),
            signed(state.acknowledged),
            Param::Optional(holder.as_deref().map(str::as_bytes)),
            Param::Optional(ended.map(str::as_bytes)),
            Param::Number(millis(self.until)),
            scene.name(),
        ];
        match is_quiet {
            true => self.run(&scene.statements.save_quietly, &params[2..]).await,
            false => self.run(&scene.statements.save, &params).await,
        }
    }
}
