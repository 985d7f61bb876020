//! The errors of the SQL stores. Their texts contain no key, value, name or password.
//!
//! A server's message may quote the row (`Duplicate entry '…'`, a `DETAIL` line) or name the user, so only its code is kept.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::{Cause, StoreError};

/// An error of the database or of the connection to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The server returned an error.
    #[error("the database returned error {code}{}", code.meaning())]
    Server {
        /// The error's code.
        code: SqlCode,
    },
    /// The name of the host has no address.
    #[error("the name of the database's host does not resolve")]
    HostNotFound,
    /// The connection to the server failed: refused, reset, not found.
    #[error("the connection to the database failed: {0}")]
    Connection(io::ErrorKind),
    /// No encrypted connection could be established.
    #[error("no encrypted connection to the database could be established")]
    Tls,
    /// No connection became free or could be established within the time-out.
    #[error("no connection to the database within the time-out")]
    NoConnection,
    /// The server did not answer within the time-out.
    #[error("the database did not answer within the time-out")]
    TimedOut,
    /// The driver does not understand the server's answer.
    #[error("the answer of the database is not understood")]
    Protocol,
    /// The connection is not a session of its own, or an answer belonged to another statement: there is a pooler, and the URL
    /// does not name it.
    #[error(
        "a pooler before the database changes the session between two statements, or does not pass on the \
         connection's parameters: add pooler=transaction to the URL"
    )]
    Pooler,
    /// Other clients kept inserting and deleting the same entry.
    #[error("too many concurrent changes of the entry")]
    Contended,
    /// The store is opened read-only.
    #[error("the store is opened read-only")]
    OpenedToRead,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// The code of a server's error: five characters (SQLSTATE) from PostgreSQL, a number from MySQL and MariaDB.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum SqlCode {
    /// A SQLSTATE of PostgreSQL.
    State([u8; 5]),
    /// An error number of MySQL or MariaDB.
    Number(u16),
}

impl SqlError {
    /// Whether a write was refused because the server is read-only.
    pub(super) fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::Server {
                code: SqlCode::State([b'2', b'5', b'0', b'0', b'6']) | SqlCode::Number(1290 | 1792 | 1836)
            }
        )
    }

    /// Whether the user lacks a right.
    pub(crate) fn is_forbidden(self) -> bool {
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
            // The code comes from the server and goes into a log.
            *place = if byte.is_ascii_alphanumeric() { byte } else { b'?' };
        }
        Self::State(state)
    }

    /// The meaning of a code that an operator may encounter; otherwise empty.
    fn meaning(&self) -> &'static str {
        match self {
            Self::State(state) => match state {
                b"28P01" | b"28000" => ": user or password are refused",
                b"3D000" => ": there is no such database",
                b"42501" => ": the user may not do this",
                b"42P01" => ": the tables do not exist",
                b"40P01" => ": a deadlock",
                b"40001" => ": a conflict of transactions",
                b"55P03" => ": the row is locked",
                b"57014" => ": the statement took too long",
                b"57P01" | b"57P02" | b"57P03" => ": the server starts or stops",
                b"25006" => ": the server is read-only",
                b"53100" => ": the disk is full",
                b"53300" => ": too many connections",
                b"26000" | b"42P05" => {
                    ": a prepared statement is missing or another client's, as behind a pooler: add pooler=transaction to the URL"
                }
                b"08P01" => {
                    ": a pooler (PgBouncer) refuses user, password or database, has no free connection, or needs \
                     pooler=transaction in the URL"
                }
                _ => "",
            },
            Self::Number(number) => match number {
                1045 | 1698 => ": user or password are refused",
                1044 | 1142 | 1227 => ": the user may not do this",
                1049 => ": there is no such database",
                1046 => ": the URL names no database",
                1146 => ": the tables do not exist",
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
    /// The URL is invalid, or a setting is out of range.
    #[error("the URL {0}")]
    Url(&'static str),
    /// An option of the URL is not supported, or its value is invalid.
    #[error("the URL's option {name} {reason}")]
    Option {
        /// The name of the option.
        name: &'static str,
        /// The defect, as a verb phrase.
        reason: &'static str,
    },
    /// A file that the URL names cannot be read.
    #[error("the URL's option {name} names {}, which cannot be read", path.display())]
    File {
        /// The option.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The name of the table is invalid.
    #[error("the table's name must be 1 to 48 letters, digits and underscores, a letter or underscore first")]
    TableName,
    /// There is no tokio runtime; a store needs one with I/O and time enabled.
    #[error("the store was not opened on a tokio runtime")]
    NoRuntime,
    /// The system provides no random bits, by which the mailboxes tell processes apart.
    #[error("the system provides no random bits")]
    NoRandomness,
    /// The database cannot be reached, or refuses the connection.
    #[error("cannot connect to the database")]
    Connect(#[source] SqlError),
    /// The server is read-only: it is a standby, or its settings or those of the user forbid writes.
    #[error("the database does not accept writes: it is a standby, or read-only for this user")]
    ReadOnly(#[source] SqlError),
    /// The user lacks a right that a store needs.
    #[error("the user of the database may not {right} in the table {table}")]
    Forbidden {
        /// The table.
        table: String,
        /// The missing right: SELECT, INSERT, UPDATE or DELETE.
        right: &'static str,
        /// The error of the server.
        source: SqlError,
    },
    /// The tables do not exist or are those of an older release, and a read-only store neither creates nor migrates them.
    #[error(
        "the table {table} does not exist or is of an older release, and the store is opened read-only: a service creates it"
    )]
    NoTables {
        /// The table.
        table: String,
    },
    /// The tables could not be created or migrated.
    #[error("cannot create or migrate the tables")]
    Schema(#[source] SqlError),
    /// A newer Tessera created or migrated the tables.
    #[error(
        "the table {table} has schema version {found}, and this Tessera supports up to {supported}: upgrade Tessera"
    )]
    Newer {
        /// The table.
        table: String,
        /// The schema version of the table.
        found: i64,
        /// The newest schema version that this program supports.
        supported: i64,
    },
    /// Another instance is creating or migrating the tables, and takes too long.
    #[error("another instance is creating or migrating the tables, and takes too long")]
    Locked,
}

/// The connection is not a session of its own.
#[derive(Debug, thiserror::Error)]
#[error("{}", SqlError::Pooler)]
pub(super) struct Unexpected;

/// The meaning of an error for the failed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not done: the key exists.
    Duplicate,
    /// Not done; a retry may succeed at once.
    Again,
    /// Not done; a retry on another connection may succeed. This connection is unusable.
    Reconnect,
    /// Not done.
    NotDone,
    /// Not done: the server has no space.
    Full,
    /// Not done: too large for the server.
    TooLarge,
    /// Not done, and a retry cannot succeed: the tables or the rights are wrong.
    Mistake,
    /// It may have been done. This connection is unusable.
    Unknown,
}

/// A failed statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) verdict: Verdict,
    pub(super) error: SqlError,
}

impl Fault {
    /// The fault of a statement whose transaction received no COMMIT: the server undoes it.
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

    /// The error of a read.
    pub(super) fn of_read(self) -> StoreError {
        match self.verdict {
            Verdict::Mistake => StoreError::Other(Cause::new(self.error)),
            _ => StoreError::Unavailable(Cause::new(self.error)),
        }
    }

    /// The error of a write.
    pub(super) fn of_write(self) -> StoreError {
        match self.verdict {
            Verdict::Full => StoreError::Full,
            Verdict::TooLarge => StoreError::TooLarge,
            Verdict::Unknown => StoreError::OutcomeUnknown(Cause::new(self.error)),
            _ => self.of_read(),
        }
    }
}
