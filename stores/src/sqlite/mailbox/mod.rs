//! Mailboxes in one SQLite file.

mod opened;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use futures_core::Stream;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tessera_connections::{
    Batch, Bounds, Changed, EndReason, Holder, Limit, Mailbox, MailboxError, Message, MessageId, Name,
    SendKey, Walked,
};
use tessera_contract::Timestamp;

use self::opened::{Open, millis};
use super::durability::Durability;
use super::error::{SqliteStoreError, commit_failed, not_done};
use super::schema::{Content, Database};
use crate::StoreError;
use crate::mail::{check_cursor, or_false, stamp};
use crate::wakes::{Changes, Signal, Wakes};

/// The mailboxes: `TESM`.
static MAILBOXES: Content = Content {
    application_id: 0x5445_534d,
    migrations: &[SCHEMA],
};
const SCHEMA: &str = "\
CREATE TABLE box (
  name TEXT NOT NULL PRIMARY KEY, head TEXT NOT NULL, until INTEGER NOT NULL,
  first INTEGER NOT NULL, before INTEGER NOT NULL, next INTEGER NOT NULL, bytes INTEGER NOT NULL,
  acknowledged INTEGER NOT NULL, holder TEXT, ended TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX box_until ON box (until);
CREATE TABLE mail (
  box TEXT NOT NULL, number INTEGER NOT NULL, stamp INTEGER NOT NULL, key TEXT, event TEXT, data TEXT NOT NULL,
  PRIMARY KEY (box, number)
) STRICT, WITHOUT ROWID;";
/// The time that a write waits for another process. It blocks a thread of the caller.
const BUSY_TIMEOUT: Duration = Duration::from_millis(100);
/// The interval at which the changes of other processes are noticed.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// The maximum number of mailboxes that an opening removes because their time has passed.
const SWEPT: u32 = 16;

/// Mailboxes in one SQLite file, for the processes of one machine.
///
/// An acknowledged message survives a kill of the process. A loss of power may lose the last moments, which is reported
/// to readers as a gap. Every call completes at the first poll, and blocks for some microseconds.
///
/// A clone is another node over the same mailboxes, with notifications of its own. Other processes may use the file: their
/// changes are noticed within a quarter of a second.
pub struct SqliteMailbox {
    shared: Arc<Shared>,
    signal: Arc<Signal>,
}

struct Shared {
    connection: Mutex<Connection>,
    wakes: Wakes,
    nodes: Mutex<Vec<Weak<Signal>>>,
}

impl Clone for SqliteMailbox {
    fn clone(&self) -> Self {
        Self::node(&self.shared)
    }
}

impl Shared {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic rolls the transaction back, and leaves the connection usable.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Weak<Signal>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that changes with each commit of another connection.
    fn data_version(&self) -> Option<i64> {
        let connection = self.connection();
        let version = connection.pragma_query_value(None, "data_version", |row| row.get(0));
        version.ok()
    }
}

/// Notifies the nodes of this process when another process has changed the file, until the mailboxes are dropped.
fn watch(shared: &Weak<Shared>) {
    let mut known = None;
    loop {
        thread::sleep(WATCH_INTERVAL);
        let Some(shared) = shared.upgrade() else { return };
        let version = shared.data_version();
        if version != known {
            known = version;
            for node in shared.nodes().iter().filter_map(Weak::upgrade) {
                node.miss();
            }
        }
    }
}

impl fmt::Debug for SqliteMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteMailbox").finish_non_exhaustive()
    }
}

impl SqliteMailbox {
    /// Opens the file. Creates it, readable by its owner only (mode 0600), if it does not exist. The directory must exist.
    ///
    /// # Errors
    /// [`SqliteStoreError`]. The file of another application or of a newer Tessera is not changed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteStoreError> {
        let database = Database::locate(path.as_ref(), &MAILBOXES)?;
        let connection = database.writer(Durability::ProcessCrash, BUSY_TIMEOUT)?;
        let shared = Arc::new(Shared {
            connection: Mutex::new(connection),
            wakes: Wakes::default(),
            nodes: Mutex::default(),
        });
        let watched = Arc::downgrade(&shared);
        let builder = thread::Builder::new().name("tessera-mailbox".to_owned());
        let watching = builder.spawn(move || watch(&watched));
        watching.map_err(SqliteStoreError::Thread)?;
        Ok(Self::node(&shared))
    }

    fn node(shared: &Arc<Shared>) -> Self {
        let signal = Arc::<Signal>::default();
        let mut nodes = shared.nodes();
        nodes.retain(|node| node.strong_count() > 0);
        nodes.push(Arc::downgrade(&signal));
        drop(nodes);
        Self {
            shared: Arc::clone(shared),
            signal,
        }
    }

    /// Runs reads and writes in one transaction.
    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        run: impl FnOnce(&Transaction<'_>) -> Result<T, MailboxError>,
    ) -> Result<T, MailboxError> {
        let mut connection = self.shared.connection();
        let transaction = connection.transaction_with_behavior(behavior).map_err(not_done)?;
        let done = run(&transaction);
        if let Err(MailboxError::Store(_)) = done {
            // Half of a change must not be stored: the drop of the transaction undoes it.
            return done;
        }
        // A refused call may have evicted messages or ended the connection.
        transaction.commit().map_err(commit_failed)?;
        done
    }

    fn read_only<T>(
        &self,
        run: impl FnOnce(&Transaction<'_>) -> Result<T, MailboxError>,
    ) -> Result<T, MailboxError> {
        self.transact(TransactionBehavior::Deferred, run)
    }

    /// Changes a live mailbox, stores its state, and wakes its watchers.
    fn change<T>(
        &self,
        now: Timestamp,
        name: &Name,
        change: impl FnOnce(&mut Open<'_>) -> Result<T, MailboxError>,
    ) -> Result<T, MailboxError> {
        let changed = self.transact(TransactionBehavior::Immediate, |transaction| {
            let mut open = Open::find(transaction, now, name)?;
            let (state, until) = (open.state.clone(), open.until);
            let changed = change(&mut open);
            if open.state != state || open.until != until {
                open.save()?;
            }
            changed
        });
        self.shared.wakes.wake(name);
        changed
    }
}

/// Removes some mailboxes whose time has passed, and one of this name.
fn sweep(transaction: &Transaction<'_>, now: Timestamp, name: &Name) -> Result<(), StoreError> {
    let gone = "SELECT name FROM box WHERE until <= ?1 AND name = ?2 UNION \
        SELECT name FROM (SELECT name FROM box WHERE until <= ?1 ORDER BY until LIMIT ?3)";
    for (table, column) in [("mail", "box"), ("box", "name")] {
        let sql = format!("DELETE FROM {table} WHERE {column} IN ({gone})");
        let mut statement = transaction.prepare_cached(&sql).map_err(not_done)?;
        statement
            .execute(params![millis(now), name.as_str(), SWEPT])
            .map_err(not_done)?;
    }
    Ok(())
}

impl Mailbox for SqliteMailbox {
    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        self.transact(TransactionBehavior::Immediate, |transaction| {
            sweep(transaction, now, name)?;
            match Open::find(transaction, now, name) {
                Err(MailboxError::Missing) => {}
                Err(error) => return Err(error),
                Ok(open) if *open.head == *head => return Ok(()),
                Ok(_) => return Err(MailboxError::Taken),
            }
            let sql = "INSERT INTO box (name, head, until, first, before, next, bytes, acknowledged) \
                VALUES (?1, ?2, ?3, 1, 0, 1, 0, 0)";
            let mut statement = transaction.prepare_cached(sql).map_err(not_done)?;
            let inserted = statement.execute(params![name.as_str(), head, millis(until)]);
            inserted.map_err(not_done)?;
            Ok(())
        })
    }

    async fn append(
        &self,
        now: Timestamp,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
        bounds: &Bounds,
    ) -> Result<MessageId, MailboxError> {
        let bytes = bounds.size(message, key)?;
        let stamp = stamp()?;
        self.change(now, name, |open| open.append(message, key, stamp, bounds, bytes))
    }

    async fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        self.change(now, name, |open| {
            open.state.attach(holder)?;
            open.until = open.until.max(until);
            Ok(())
        })
    }

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        or_false(self.change(now, name, |open| {
            let was_holder = open.state.detach(holder);
            if was_holder {
                open.until = until;
            }
            Ok(was_holder)
        }))
    }

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        or_false(self.change(now, name, |open| {
            let ends = open.state.end(reason);
            if ends {
                open.until = until;
            }
            Ok(ends)
        }))
    }

    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        self.read_only(|transaction| {
            let batch = Open::find(transaction, now, name)?.read(after, limit)?;
            // Under the lock of the connection, so that no change comes between the read and the watch.
            self.shared.wakes.watch(name, &self.signal);
            Ok(batch)
        })
    }

    async fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        self.transact(TransactionBehavior::Immediate, |transaction| {
            let mut open = Open::find(transaction, now, name)?;
            let stamp = open.stamp_of(through.number)?;
            if open.state.holder == Some(holder) && open.state.place(through, stamp).1 {
                for _ in 0..open.state.acknowledge(through.number, replay) {
                    open.evict()?;
                }
                open.save()?;
            }
            Ok(())
        })
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        self.transact(TransactionBehavior::Immediate, |transaction| {
            let sql = "UPDATE box SET until = max(until, ?3) WHERE name = ?1 AND until > ?2";
            let mut statement = transaction.prepare_cached(sql).map_err(not_done)?;
            let mut missing = Vec::new();
            for name in names {
                let kept = statement.execute(params![name.as_str(), millis(now), millis(until)]);
                if kept.map_err(not_done)? == 0 {
                    missing.push(name.clone());
                }
            }
            Ok(missing)
        })
    }

    async fn look(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Walked>, MailboxError> {
        self.read_only(|transaction| {
            let mut found = Vec::new();
            for name in names {
                match Open::find(transaction, now, name) {
                    Ok(open) => found.push(open.walked()?),
                    Err(MailboxError::Missing) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
    }

    async fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Walked>, Option<String>), MailboxError> {
        let after = check_cursor(cursor)?;
        let names = self.read_only(|transaction| {
            let sql = "SELECT name FROM box WHERE name > ?1 AND until > ?2 ORDER BY name LIMIT ?3";
            let mut statement = transaction.prepare_cached(sql).map_err(not_done)?;
            let after = after.as_ref().map_or("", Name::as_str);
            let rows = statement.query_map(params![after, millis(now), limit], |row| row.get::<_, String>(0));
            let names: Result<Vec<String>, _> = rows.map_err(not_done)?.collect();
            let names = names.map_err(not_done)?;
            let name = |text: String| text.parse().map_err(|_| StoreError::Corrupt.into());
            names
                .into_iter()
                .map(name)
                .collect::<Result<Vec<Name>, MailboxError>>()
        })?;
        let is_full = names.len() >= limit as usize;
        let next = names.last().filter(|_| is_full).map(Name::to_string);
        Ok((self.look(now, &names).await?, next))
    }

    fn changed(&self) -> impl Stream<Item = Changed> + Send + use<> {
        Changes(Arc::clone(&self.signal))
    }
}
