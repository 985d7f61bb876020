//! Why a SQLite file was not opened, and what SQLite's errors mean for a call.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::{Cause, StoreError};

/// Why a [`SqliteStore`](super::SqliteStore) was not opened. The file is as it was, except for [`Self::Open`] and [`Self::Thread`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteStoreError {
    /// The directory of the file does not exist; it is not created.
    #[error("the directory of {} does not exist: create it first", path.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be created or reached.
    #[error("cannot create or reach {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no SQLite database.
    #[error("{} is not a SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file is the database of another application.
    #[error("{} is the database of another application (application id {application_id:#010x})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The `PRAGMA application_id` it names; 0 if it names none and yet holds tables.
        application_id: i32,
    },
    /// The file was written by a newer Tessera.
    #[error("{} has schema {found}, this version of Tessera knows up to {supported}: upgrade Tessera", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema version of the file.
        found: i32,
        /// The newest schema version this program knows.
        supported: i32,
    },
    /// The file system cannot do write-ahead logging: it is a network's, or has no shared memory.
    #[error("{} cannot use write-ahead logging (its journal mode stays {mode}): choose a local file system", path.display())]
    NotWal {
        /// The file.
        path: PathBuf,
        /// The journal mode SQLite fell back to.
        mode: String,
    },
    /// The file cannot be written to.
    #[error("{} is read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file, and a store that is opened to read makes none.
    #[error("there is no file {}", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// The file has no tables yet, or those of an older release, and a store that is opened to read changes nothing.
    #[error("{} has schema {found}, and is opened to read: a service brings it to schema {supported}", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// The schema version of the file; 0 if it is empty.
        found: i32,
        /// The schema version that this program reads.
        supported: i32,
    },
    /// SQLite failed to open the file or to bring its schema up to date.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The system has no thread for the writer.
    #[error("cannot start the writer's thread")]
    Thread(#[source] io::Error),
}

/// What an error of SQLite means while nothing has been committed.
///
/// rusqlite's errors hold SQL text, column names and SQLite's message, but no bound value.
pub(super) fn not_done(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error;
    match &error {
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => StoreError::Corrupt,
        _ => match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::TooBig) => StoreError::TooLarge,
            _ => StoreError::Unavailable(Cause::new(error)),
        },
    }
}

/// What a failed `COMMIT` means for the writes in it.
///
/// Busy and full are known before the frame that commits is whole. Anything else, a failed sync above all, can leave
/// that frame in the log, where the next opening after a crash finds it.
pub(super) fn commit_failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Unavailable(Cause::new(error))
        }
        _ => StoreError::OutcomeUnknown(Cause::new(error)),
    }
}

pub(super) fn opened_to_read() -> StoreError {
    StoreError::Other(Cause::new("the store was opened to read"))
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable(Cause::new("the store is closed"))
}
