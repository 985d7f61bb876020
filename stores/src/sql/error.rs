//! What went wrong, in words that hold no key, value, name or password.
//!
//! A server's own message may quote the row (`Duplicate entry '…'`, a `DETAIL` line) or name the user;
//! of it only the code is kept.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::{Cause, StoreError};

/// What a database or the way to it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The server answered an error.
    #[error("the database answers error {code}{}", code.meaning())]
    Server {
        /// Its code.
        code: SqlCode,
    },
    /// No address is known for the host's name.
    #[error("the name of the database's host does not resolve")]
    HostNotFound,
    /// The way to the server: refused, reset, not found.
    #[error("the connection to the database failed: {0}")]
    Connection(io::ErrorKind),
    /// No encrypted connection could be made.
    #[error("no encrypted connection to the database could be made")]
    Tls,
    /// There was no free connection, and none could be made, within the time-out.
    #[error("there was no connection to the database within the time-out")]
    NoConnection,
    /// The answer did not come within the time-out.
    #[error("the database did not answer within the time-out")]
    TimedOut,
    /// The server answered what the driver does not understand.
    #[error("the database answered something that is not understood")]
    Protocol,
    /// The connection is no session of its own at the server, or an answer belonged to another question: a pooler stands
    /// between, and the URL does not say so.
    #[error(
        "a pooler stands before the database and changes the session between two statements, or does not pass on the \
         connection's parameters: name it by pooler=transaction in the URL"
    )]
    Pooler,
    /// The same entry was inserted and deleted by others all the time.
    #[error("others changed the entry again and again")]
    Contended,
    /// The store was opened to read.
    #[error("the store was opened to read")]
    OpenedToRead,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// The code of a server's error: five characters (SQLSTATE) from PostgreSQL, a number from MySQL and MariaDB.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum SqlCode {
    /// PostgreSQL's.
    State([u8; 5]),
    /// MySQL's or MariaDB's.
    Number(u16),
}

impl SqlError {
    /// Whether a write was refused because nobody may write there.
    pub(super) fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::Server {
                code: SqlCode::State([b'2', b'5', b'0', b'0', b'6']) | SqlCode::Number(1290 | 1792 | 1836)
            }
        )
    }

    /// Whether the user may not do it.
    pub(super) fn is_forbidden(self) -> bool {
        matches!(
            self,
            Self::Server {
                code: SqlCode::State([b'4', b'2', b'5', b'0', b'1'])
                    | SqlCode::Number(1044 | 1142 | 1143 | 1227)
            }
        )
    }
}

impl SqlCode {
    pub(super) fn state(code: &str) -> Self {
        let mut state = *b"?????";
        for (place, byte) in state.iter_mut().zip(code.bytes()) {
            // It comes from the server, and goes into a log.
            *place = if byte.is_ascii_alphanumeric() { byte } else { b'?' };
        }
        Self::State(state)
    }

    /// In words, for those that an operator meets.
    fn meaning(&self) -> &'static str {
        match self {
            Self::State(state) => match state {
                b"28P01" | b"28000" => ": user or password are refused",
                b"3D000" => ": there is no such database",
                b"42501" => ": the user may not do this",
                b"42P01" => ": the tables are not there",
                b"40P01" => ": a deadlock",
                b"40001" => ": a conflict of transactions",
                b"55P03" => ": the row is locked",
                b"57014" => ": the statement took too long",
                b"57P01" | b"57P02" | b"57P03" => ": the server starts or stops",
                b"25006" => ": the server is read-only",
                b"53100" => ": the disk is full",
                b"53300" => ": too many connections",
                b"26000" | b"42P05" => {
                    ": a prepared statement is another's, as behind a pooler, which is named by pooler=transaction in the URL"
                }
                b"08P01" => {
                    ": as of a pooler (PgBouncer) that refuses user, password or database or is out of connections, or that the \
                     URL does not name by pooler=transaction"
                }
                _ => "",
            },
            Self::Number(number) => match number {
                1045 | 1698 => ": user or password are refused",
                1044 | 1142 | 1227 => ": the user may not do this",
                1049 => ": there is no such database",
                1046 => ": the URL names no database",
                1146 => ": the tables are not there",
                1213 => ": a deadlock",
                1205 => ": the row is locked",
                1969 | 3024 => ": the statement took too long",
                1053 => ": the server stops",
                1290 | 1792 | 1836 => ": the server is read-only",
                1021 | 1114 => ": the disk or the table is full",
                1040 | 1203 | 1226 => ": too many connections",
                1153 => ": larger than max_allowed_packet",
                _ => "",
            },
        }
    }
}

impl fmt::Display for SqlCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => state
                .iter()
                .try_for_each(|byte| write!(f, "{}", char::from(*byte))),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Debug for SqlCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlCode({self})")
    }
}

/// Why a [`SqlStore`](super::SqlStore) was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlStoreError {
    /// The URL is none, or a setting is out of range.
    #[error("the URL {0}")]
    Url(&'static str),
    /// An option of the URL is not honoured, or its value is none.
    #[error("the URL's option {name} {reason}")]
    Option {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file that the URL names cannot be read.
    #[error("the URL's option {name} names {}, which cannot be read", path.display())]
    File {
        /// The option.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The name of the table is none.
    #[error("a table's name is 1 to 48 letters, digits and underscores, a letter or underscore first")]
    TableName,
    /// A store lives on a tokio runtime with I/O and time enabled, and there is none.
    #[error("the store was not opened on a tokio runtime")]
    NoRuntime,
    /// The database cannot be reached, or refuses us.
    #[error("cannot connect to the database")]
    Connect(#[source] SqlError),
    /// The server is read-only: a standby, or by its settings or the user's.
    #[error("the database takes no writes: it is a standby, or is set to be read-only for this user")]
    ReadOnly(#[source] SqlError),
    /// The user lacks a right that a store needs.
    #[error("the user of the database may not {right} in the table {table}")]
    Forbidden {
        /// The table.
        table: String,
        /// What is not allowed: SELECT, INSERT, UPDATE or DELETE.
        right: &'static str,
        /// What the server answers.
        source: SqlError,
    },
    /// The tables are not there, or are those of an older release, and a store that is opened to read makes none.
    #[error(
        "the table {table} is not there, or of an older release, and is only to be read: a service makes it"
    )]
    NoTables {
        /// The table.
        table: String,
    },
    /// The tables could not be made or brought up to date.
    #[error("cannot make the tables, or bring them up to date")]
    Schema(#[source] SqlError),
    /// The tables were made by a newer Tessera.
    #[error(
        "the table {table} has schema {found}, this version of Tessera knows up to {supported}: upgrade Tessera"
    )]
    Newer {
        /// The table.
        table: String,
        /// Its schema version.
        found: i64,
        /// The newest this program knows.
        supported: i64,
    },
    /// Another instance has been making the tables for too long.
    #[error("another instance is making the tables, and does not come to an end")]
    Locked,
}

/// The session is not the one that the connection began with.
#[derive(Debug, thiserror::Error)]
#[error("{}", SqlError::Pooler)]
pub(super) struct Unexpected;

/// What an error means for the statement that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not done: the key is there already.
    Duplicate,
    /// Not done, and worth doing again at once.
    Again,
    /// Not done, and worth doing again on another connection; this one is of no use any more.
    Reconnect,
    /// Not done.
    NotDone,
    /// Not done: no room.
    Full,
    /// Not done: too large for the server.
    TooLarge,
    /// Not done, nor will it ever be: the tables or the rights are not as they should be.
    Mistake,
    /// It may have been done; the connection is of no use any more.
    Unknown,
}

/// Why a statement was not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) verdict: Verdict,
    pub(super) error: SqlError,
}

impl Fault {
    /// Of a statement whose transaction was not told to commit: the server undoes it.
    pub(super) fn undone(self) -> Self {
        let verdict = match self.verdict {
            Verdict::Unknown if self.error == SqlError::TimedOut => Verdict::NotDone,
            Verdict::Unknown => Verdict::Reconnect,
            verdict => verdict,
        };
        Self { verdict, ..self }
    }

    pub(super) fn not_done(error: SqlError) -> Self {
        Self {
            verdict: Verdict::NotDone,
            error,
        }
    }

    /// For a question.
    pub(super) fn of_read(self) -> StoreError {
        match self.verdict {
            Verdict::Mistake => StoreError::Other(Cause::new(self.error)),
            _ => StoreError::Unavailable(Cause::new(self.error)),
        }
    }

    /// For a write.
    pub(super) fn of_write(self) -> StoreError {
        match self.verdict {
            Verdict::Full => StoreError::Full,
            Verdict::TooLarge => StoreError::TooLarge,
            Verdict::Unknown => StoreError::OutcomeUnknown(Cause::new(self.error)),
            _ => self.of_read(),
        }
    }
}
