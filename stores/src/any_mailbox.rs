//! The mailboxes beside any store.

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use tessera_connections::{
    Batch, Bounds, Changed, EndReason, Holder, Limit, Mailbox, MailboxError, Message, MessageId, Name,
    SendKey, Walked,
};
use tessera_contract::Timestamp;

use crate::MemoryMailbox;
use crate::{PlainStore, PlainUrl};
#[cfg(feature = "redis")]
use crate::{RedisMailbox, StoreError};
#[cfg(feature = "sql")]
use crate::{SqlMailbox, SqlStoreError};
#[cfg(feature = "sqlite")]
use crate::{SqliteMailbox, SqliteStoreError};

/// The mailboxes beside a store: in the memory of the process, in a file beside that of the sessions, or in the same Redis or
/// database.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyMailbox {
    /// In the memory of the process.
    Memory(MemoryMailbox),
    /// In a SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteMailbox),
    /// In Redis.
    #[cfg(feature = "redis")]
    Redis(RedisMailbox),
    /// In a SQL database.
    #[cfg(feature = "sql")]
    Sql(Box<SqlMailbox>),
}

/// Why there are no mailboxes beside a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoMailbox {
    /// This kind of store has no mailboxes.
    #[error("connections need another store, and not {store}")]
    Unsupported {
        /// The kind of store.
        store: &'static str,
    },
    /// The file of the mailboxes cannot be opened.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] SqliteStoreError),
    /// The user of Redis may not run the commands of the mailboxes.
    #[cfg(feature = "redis")]
    #[error("the user of Redis may not run the commands of the mailboxes")]
    Redis(#[source] StoreError),
    /// The tables of the mailboxes cannot be created or read.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Sql(#[from] SqlStoreError),
}

impl NoMailbox {
    /// Whether the user lacks a right: to create or use the tables of the mailboxes, or to run their commands in Redis.
    pub fn is_forbidden(&self) -> bool {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(_) => true,
            #[cfg(feature = "sql")]
            Self::Sql(SqlStoreError::Forbidden { .. }) => true,
            #[cfg(feature = "sql")]
            Self::Sql(SqlStoreError::Schema(error)) => error.is_forbidden(),
            _ => false,
        }
    }
}

/// The file of the mailboxes beside that of the sessions: `sessions.db-connections`.
#[cfg(feature = "sqlite")]
fn beside(sessions: &std::path::Path) -> std::path::PathBuf {
    let mut name = sessions.as_os_str().to_owned();
    name.push("-connections");
    name.into()
}

impl AnyMailbox {
    /// Opens the mailboxes beside the store that was opened at this URL. A clone of the store is another node.
    ///
    /// # Errors
    /// [`NoMailbox`].
    pub async fn beside(store: &PlainStore, url: &PlainUrl) -> Result<Self, NoMailbox> {
        match (store, url) {
            (PlainStore::Memory(_), _) => Ok(Self::Memory(MemoryMailbox::new())),
            #[cfg(feature = "sqlite")]
            (PlainStore::Sqlite(_), PlainUrl::Sqlite(path)) => {
                Ok(Self::Sqlite(SqliteMailbox::open(beside(path))?))
            }
            #[cfg(feature = "redis")]
            (PlainStore::Redis(store), _) => {
                let mailbox = RedisMailbox::new(store);
                mailbox.check().await.map_err(NoMailbox::Redis)?;
                Ok(Self::Redis(mailbox))
            }
            #[cfg(feature = "sql")]
            (PlainStore::Sql(store), _) => Ok(Self::Sql(Box::new(SqlMailbox::open(store).await?))),
            #[cfg(feature = "sqlite")]
            (PlainStore::Sqlite(_), _) => Err(NoMailbox::Unsupported {
                store: "a file of another URL",
            }),
        }
    }
}

/// Calls a method of the variant.
macro_rules! each {
    ($self:ident, $mailbox:ident => $call:expr) => {
        match $self {
            Self::Memory($mailbox) => $call,
            #[cfg(feature = "sqlite")]
            Self::Sqlite($mailbox) => $call,
            #[cfg(feature = "redis")]
            Self::Redis($mailbox) => $call,
            #[cfg(feature = "sql")]
            Self::Sql($mailbox) => $call,
        }
    };
}

impl Mailbox for AnyMailbox {
    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        each!(self, mailbox => mailbox.open(now, name, head, until).await)
    }

    async fn append(
        &self,
        now: Timestamp,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
        bounds: &Bounds,
    ) -> Result<MessageId, MailboxError> {
        each!(self, mailbox => mailbox.append(now, name, message, key, bounds).await)
    }

    async fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        each!(self, mailbox => mailbox.attach(now, name, holder, until).await)
    }

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        each!(self, mailbox => mailbox.detach(now, name, holder, until).await)
    }

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        each!(self, mailbox => mailbox.end(now, name, reason, until).await)
    }

    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        each!(self, mailbox => mailbox.read(now, name, after, limit).await)
    }

    async fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        each!(self, mailbox => mailbox.acknowledge(now, name, holder, through, replay).await)
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        each!(self, mailbox => mailbox.keep(now, names, until).await)
    }

    async fn look(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Walked>, MailboxError> {
        each!(self, mailbox => mailbox.look(now, names).await)
    }

    async fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Walked>, Option<String>), MailboxError> {
        each!(self, mailbox => mailbox.walk(now, cursor, limit).await)
    }

    async fn watch_records(&self, keys: &[Arc<str>]) -> Result<bool, MailboxError> {
        each!(self, mailbox => mailbox.watch_records(keys).await)
    }

    fn changed(&self) -> impl Stream<Item = Changed> + Send + use<> {
        let changes: Pin<Box<dyn Stream<Item = Changed> + Send>> =
            each!(self, mailbox => Box::pin(mailbox.changed()));
        changes
    }
}
