//! Mailboxes in PostgreSQL, MySQL or MariaDB.

mod calls;
mod node;
mod opened;
mod polling;
mod queue;
mod rows;
mod statements;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_core::Stream;
use tessera_connections::{
    Batch, Bounds, Changed, EndReason, Holder, Limit, Mailbox, MailboxError, Message, MessageId, Name,
    SendKey, Walked,
};
use tessera_contract::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::node::Node;
use self::opened::{Change, Done};
use self::queue::Queue;
use self::statements::Statements;
use super::dialect::{Access, Content, Table};
use super::error::{Fault, Verdict};
use super::rows::millis;
use super::statement::Param;
use super::statements::MAXIMUM_BATCH;
use super::{SqlStore, SqlStoreError, schema, several};
use crate::StoreError;
use crate::mail::{check_cursor, stamp};
use crate::wakes::Changes;

/// The number of attempts to open a mailbox whose name belongs to an expired one.
const OPEN_TRIES: u32 = 3;

/// Mailboxes in PostgreSQL (13 or later), MySQL (8 or later) or MariaDB (10.5 or later), over the connections of a [`SqlStore`].
///
/// The tables are `tessera_sessions_mail`, `tessera_sessions_mail_messages` and `tessera_sessions_mail_watches`, or begin with
/// another name ([`SqlStoreBuilder::table`](crate::SqlStoreBuilder::table)).
///
/// Each change of a mailbox is one transaction, which locks the mailbox and takes five to eight round trips.
/// Changes take at most half of the store's connections, and those of one mailbox one.
/// Changes by this node are reported at once, and those by others within a quarter of a second and two round trips: each node
/// polls for the mailboxes that it watches and that have changed. In PostgreSQL, a `NOTIFY` makes the others poll at once; a node
/// listens over one connection more, and needs `direct=URL` behind a pooler.
///
/// A clone is the same node. When the last clone is dropped, the polling ends.
#[derive(Clone)]
pub struct SqlMailbox {
    node: Arc<Node>,
    _tasks: Arc<Tasks>,
}

/// The tasks of a node.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for SqlMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlMailbox").finish_non_exhaustive()
    }
}

impl SqlMailbox {
    /// Opens the mailboxes beside a store, and creates their tables if they do not exist. Needs the tokio runtime of the store.
    ///
    /// # Errors
    /// [`SqlStoreError`], as at the opening of the store. [`SqlStoreError::NoTables`] if the store is opened read-only.
    pub async fn open(store: &SqlStore) -> Result<Self, SqlStoreError> {
        let shared = Arc::clone(&store.shared);
        let table = Table {
            schema: shared.table.schema.clone(),
            name: format!("{}_mail", shared.table.name),
        };
        let retrier = &shared.retrier;
        if retrier.access == Access::Read {
            return Err(SqlStoreError::NoTables { table: table.name });
        }
        let patience = retrier.acquire_timeout;
        schema::ensure(
            &shared.target,
            Content::Mailboxes,
            &table,
            patience,
            retrier.access,
        )
        .await?;
        let node = Arc::new(Node {
            statements: Statements::new(shared.target.dialect(), &table),
            signal: Arc::default(),
            // Two nodes with one number would take each other's notices.
            id: getrandom::u64()
                .map_err(|_| SqlStoreError::NoRandomness)?
                .cast_signed(),
            watches: AtomicBool::new(false),
            channel: format!("tessera {}", table.name),
            has_changed: Notify::new(),
            queue: Queue::new(shared.retrier.pool.size()),
            is_called: Notify::new(),
            store: shared,
        });
        let runtime = &node.store.runtime;
        let weak = || Arc::downgrade(&node);
        let mut tasks = vec![runtime.spawn(polling::poll(weak()))];
        if node.store.listens_at.is_some() {
            tasks.push(runtime.spawn(calls::notify(weak())));
            tasks.push(runtime.spawn(calls::listen(weak())));
        }
        Ok(Self {
            node,
            _tasks: Arc::new(Tasks(tasks)),
        })
    }

    /// Removes the mailboxes whose time passed a minute before `now`, 25 at a time, and returns their number.
    ///
    /// Each node does so every minute, by this machine's clock.
    ///
    /// # Errors
    /// The errors of a write. Some mailboxes may have been removed.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.node.sweep(now).await.map_err(Fault::of_write)
    }
}

fn texts(names: &[Name]) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

impl Mailbox for SqlMailbox {
    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        let node = &self.node;
        let key = Param::Bytes(name.as_str().as_bytes());
        let params = [key, Param::Bytes(head.as_bytes()), Param::Number(millis(until))];
        for _ in 0..OPEN_TRIES {
            match node.write(&node.statements.open, &params).await {
                Ok(1..) => return Ok(()),
                Ok(0) => {}
                Err(fault) if fault.verdict == Verdict::Duplicate => {}
                Err(fault) => return Err(fault.of_write().into()),
            }
            let expired = [key, Param::Number(millis(now))];
            let deleted = node.write(&node.statements.delete_expired, &expired).await;
            if deleted.map_err(Fault::of_write)? == 0
                && let Some(found) = self.look(now, std::slice::from_ref(name)).await?.first()
            {
                return match *found.head == *head {
                    true => Ok(()),
                    false => Err(MailboxError::Taken),
                };
            }
        }
        Err(MailboxError::Taken)
    }

    async fn append(
        &self,
        now: Timestamp,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
        bounds: &Bounds,
    ) -> Result<MessageId, MailboxError> {
        let change = Change::Append {
            message,
            key,
            size: bounds.size(message, key)?,
            stamp: stamp()?,
            bounds,
        };
        match self.node.change_noticed(now, name, change).await? {
            Done::Appended(id) => Ok(id),
            Done::Applied(_) => Err(StoreError::Corrupt.into()),
        }
    }

    async fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        let change = Change::Attach { holder, until };
        self.node.watches.store(true, Ordering::Release);
        self.node.change_noticed(now, name, change).await.map(|_| ())
    }

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        self.node
            .applied(now, name, Change::Detach { holder, until })
            .await
    }

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        self.node.applied(now, name, Change::End { reason, until }).await
    }

    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        let node = &self.node;
        if let Some(batch) = node.read(now, name, after, limit).await? {
            return Ok(batch);
        }
        node.watches.store(true, Ordering::Release);
        node.change(now, name, Change::Watch).await?;
        let read = node.read(now, name, after, limit).await?;
        // It was deleted and opened again in between.
        read.ok_or(MailboxError::Missing)
    }

    async fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        let change = Change::Acknowledge {
            holder,
            through,
            replay,
        };
        self.node.change(now, name, change).await.map(|_| ())
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        let node = &self.node;
        let mut missing = Vec::new();
        for names in names.chunks(MAXIMUM_BATCH) {
            let texts = texts(names);
            let (sql, size) = node.statements.keep.of_size(names.len());
            let mut params = vec![Param::Number(millis(until))];
            params.extend(several(&texts, size));
            params.push(Param::Number(millis(now)));
            let kept = node.write(sql, &params).await.map_err(Fault::of_write)?;
            if kept == names.len() as u64 {
                continue;
            }
            let (sql, size) = node.statements.live.of_size(names.len());
            let mut params: Vec<_> = several(&texts, size).collect();
            params.push(Param::Number(millis(now)));
            let live = node.rows(sql, &params).await?;
            let live: Result<HashSet<Name>, StoreError> = live.iter().map(rows::name).collect();
            let live = live?;
            missing.extend(names.iter().filter(|name| !live.contains(*name)).cloned());
        }
        Ok(missing)
    }

    async fn look(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Walked>, MailboxError> {
        let node = &self.node;
        let mut found = Vec::new();
        for names in names.chunks(MAXIMUM_BATCH) {
            let (sql, size) = node.statements.look.of_size(names.len());
            let texts = texts(names);
            let mut params: Vec<_> = several(&texts, size).collect();
            params.push(Param::Number(millis(now)));
            for row in node.rows(sql, &params).await? {
                found.push(rows::walked(&row)?);
            }
        }
        Ok(found)
    }

    async fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Walked>, Option<String>), MailboxError> {
        let after = check_cursor(cursor)?;
        let after = after.as_ref().map_or("", Name::as_str);
        let params = [
            Param::Bytes(after.as_bytes()),
            Param::Number(millis(now)),
            Param::Number(i64::from(limit.max(1))),
        ];
        let found = self.node.rows(&self.node.statements.walk, &params).await?;
        let walked: Result<Vec<Walked>, StoreError> = found.iter().map(rows::walked).collect();
        let walked = walked?;
        let is_full = walked.len() >= limit.max(1) as usize;
        let next = walked
            .last()
            .filter(|_| is_full)
            .map(|last| last.name.to_string());
        Ok((walked, next))
    }

    fn changed(&self) -> impl Stream<Item = Changed> + Send + use<> {
        Changes(Arc::clone(&self.node.signal))
    }
}
