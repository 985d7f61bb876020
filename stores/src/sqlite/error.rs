//! The errors of opening a SQLite file, and the mapping of SQLite's errors to [`StoreError`].

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::{Cause, StoreError};

/// Why a [`SqliteStore`](super::SqliteStore) was not opened. The file is unchanged, except with [`Self::Open`] and
/// [`Self::Thread`].
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
        /// The error of the system.
        source: io::Error,
    },
    /// The file is not a SQLite database.
    #[error("{} is not a SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The file is the database of another application.
    #[error("{} is the database of another application (application id {application_id:#010x})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The `PRAGMA application_id` of the file; 0 if it has tables and no application id.
        application_id: i32,
    },
    /// The file was written by a newer Tessera.
    #[error("{} has schema version {found}, and this Tessera supports up to {supported}: upgrade Tessera", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema version of the file.
        found: i32,
        /// The newest schema version that this program supports.
        supported: i32,
    },
    /// The file system does not support write-ahead logging: it is a network file system, or has no shared memory.
    #[error("{} cannot use write-ahead logging (its journal mode stays {mode}): choose a local file system", path.display())]
    NotWal {
        /// The file.
        path: PathBuf,
        /// The journal mode that SQLite fell back to.
        mode: String,
    },
    /// The file cannot be written to.
    #[error("{} is read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file does not exist, and a read-only store does not create it.
    #[error("there is no file {}", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// The file has no tables, or those of an older release, and a read-only store does not migrate it.
    #[error("{} has schema version {found}, and is opened read-only: a service migrates it to version {supported}", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// The schema version of the file; 0 if it is empty.
        found: i32,
        /// The schema version that this program reads.
        supported: i32,
    },
    /// SQLite failed to open the file or to migrate its schema.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The writer's thread cannot be started.
    #[error("cannot start the writer's thread")]
    Thread(#[source] io::Error),
}

/// Maps an error of SQLite before a commit: nothing was written.
///
/// rusqlite's errors contain SQL text, column names and SQLite's message, but no bound values.
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

/// Maps a failed `COMMIT` to the error of the writes in it.
///
/// Busy and full occur before the commit frame is complete.
/// Any other error, above all a failed sync, can leave the frame in the log, where the next opening after a crash applies it.
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
    StoreError::Other(Cause::new("the store is opened read-only"))
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable(Cause::new("the store is closed"))
}
