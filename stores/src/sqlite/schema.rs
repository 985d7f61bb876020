//! Creates, recognises and migrates the file.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::durability::Durability;
use super::error::SqliteStoreError;
use super::statements::SQL;
use crate::percent::encoded;
use crate::sections::section;

/// The content of a file: its mark in the header, and its tables.
pub(super) struct Content {
    /// `PRAGMA application_id`.
    pub(super) application_id: i32,
    /// The migration at index `n` leads from schema version `n` to `n + 1`. Never change a released one.
    pub(super) migrations: &'static [&'static str],
}

impl Content {
    fn newest(&self) -> i32 {
        i32::try_from(self.migrations.len()).unwrap_or(i32::MAX)
    }
}

/// The sessions: `TESS`.
pub(super) static SESSIONS: Content = Content {
    application_id: 0x5445_5353,
    migrations: &[section(SQL, "migration_1")],
};

/// The maximum size in bytes that the log keeps on disk after its content is in the database.
const LOG_SIZE_LIMIT: i64 = 64 * 1024 * 1024;

/// The longest wait of a read for another process; it blocks a thread of the caller.
/// In WAL mode, a read waits only while another process recovers or closes the log.
const READ_PATIENCE: Duration = Duration::from_millis(500);

/// The pause before another attempt to open a file that another process is opening as well.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// The file of the database, which is opened once for writes and several times for reads.
pub(super) struct Database {
    path: PathBuf,
    content: &'static Content,
}

impl Database {
    /// Finds the file, or creates it, readable by its owner only.
    pub(super) fn locate(path: &Path, content: &'static Content) -> Result<Self, SqliteStoreError> {
        let failed = |source| SqliteStoreError::Create {
            path: path.to_owned(),
            source,
        };
        // Absolute, so that no name is special to SQLite (`:memory:`), and a later change of directory has no effect.
        let path = std::path::absolute(path).map_err(failed)?;
        if !path.parent().is_some_and(Path::is_dir) {
            return Err(SqliteStoreError::NoDirectory { path });
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // SQLite gives the log and the shared memory the mode of the database.
            options.mode(0o600);
        }
        match options.open(&path) {
            Ok(_) => Ok(Self { path, content }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { path, content }),
            Err(source) => Err(SqliteStoreError::Create { path, source }),
        }
    }

    /// Finds the file, and does not create it.
    pub(super) fn find(path: &Path, content: &'static Content) -> Result<Self, SqliteStoreError> {
        let failed = |source| SqliteStoreError::Create {
            path: path.to_owned(),
            source,
        };
        let path = std::path::absolute(path).map_err(failed)?;
        match path.try_exists().map_err(failed)? {
            true => Ok(Self { path, content }),
            false => Err(SqliteStoreError::NoFile { path }),
        }
    }

    /// Opens the file with read permission only.
    pub(super) fn only_reader(&self) -> Result<Connection, SqliteStoreError> {
        let found = match self.try_only_reader(false) {
            // No process has the file open for writing, or there would be a log; and no file can be created beside it.
            Err(SqliteStoreError::Open { source, .. }) if cannot_share(&source) && !self.has_log() => {
                self.try_only_reader(true)
            }
            found => found,
        };
        let (connection, version) = found?;
        if version < self.content.newest() {
            return Err(SqliteStoreError::Older {
                path: self.path.clone(),
                found: version,
                supported: self.content.newest(),
            });
        }
        Ok(connection)
    }

    fn try_only_reader(&self, immutable: bool) -> Result<(Connection, i32), SqliteStoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = match immutable {
            false => Connection::open_with_flags(&self.path, flags),
            true => {
                let path = encoded(self.path.as_os_str().as_encoded_bytes());
                let uri = format!("file:{path}?immutable=1");
                Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
            }
        };
        let connection = opened.map_err(|source| self.failed(source))?;
        self.settle_reader(&connection)?;
        let version = self.recognise(&connection)?;
        Ok((connection, version))
    }

    /// Whether there is a non-empty log.
    fn has_log(&self) -> bool {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
    }

    /// Opens the file for the writer. Checks the application id before it changes the file, then migrates the schema.
    pub(super) fn writer(
        &self,
        durability: Durability,
        patience: Duration,
    ) -> Result<Connection, SqliteStoreError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.try_writer(durability, patience) {
                // SQLite's busy timeout does not cover the change to WAL, where two processes that open a new file can collide.
                Err(SqliteStoreError::Open { source, .. })
                    if is_busy(&source) && Instant::now() < deadline =>
                {
                    thread::sleep(RETRY_INTERVAL);
                }
                outcome => return outcome,
            }
        }
    }

    fn try_writer(&self, durability: Durability, patience: Duration) -> Result<Connection, SqliteStoreError> {
        let mut connection = self.connect(patience)?;
        // Without write permission, SQLite opens the file read-only and reports no error.
        if connection
            .is_readonly(rusqlite::MAIN_DB)
            .map_err(|source| self.failed(source))?
        {
            return Err(SqliteStoreError::ReadOnly {
                path: self.path.clone(),
            });
        }
        let version = self.recognise(&connection)?;
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(|source| self.failed(source))?;
        if mode != "wal" {
            return Err(SqliteStoreError::NotWal {
                path: self.path.clone(),
                mode,
            });
        }
        settle(&connection, durability).map_err(|source| self.failed(source))?;
        if version < self.content.newest() {
            self.migrate(&mut connection)?;
        }
        Ok(connection)
    }

    /// Opens the file for reads. Not with SQLite's read-only flag, because such a connection cannot recover a log.
    pub(super) fn reader(&self) -> Result<Connection, SqliteStoreError> {
        let connection = self.connect(READ_PATIENCE)?;
        self.settle_reader(&connection)?;
        Ok(connection)
    }

    fn settle_reader(&self, connection: &Connection) -> Result<(), SqliteStoreError> {
        let settled = connection.busy_timeout(READ_PATIENCE);
        settled
            .and_then(|()| connection.pragma_update(None, "query_only", true))
            .map_err(|source| self.failed(source))?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(())
    }

    fn connect(&self, patience: Duration) -> Result<Connection, SqliteStoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&self.path, flags).map_err(|source| self.failed(source))?;
        connection
            .busy_timeout(patience)
            .map_err(|source| self.failed(source))?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    }

    /// Checks the application id, and returns the schema version of the file; 0 if it is empty.
    fn recognise(&self, connection: &Connection) -> Result<i32, SqliteStoreError> {
        let (application_id, version, objects) =
            header(connection).map_err(|source| match source.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => SqliteStoreError::NotADatabase {
                    path: self.path.clone(),
                    source,
                },
                _ => self.failed(source),
            })?;
        if application_id == 0 && version == 0 && objects == 0 {
            return Ok(0);
        }
        if application_id != self.content.application_id {
            return Err(SqliteStoreError::Foreign {
                path: self.path.clone(),
                application_id,
            });
        }
        if version > self.content.newest() {
            return Err(SqliteStoreError::Newer {
                path: self.path.clone(),
                found: version,
                supported: self.content.newest(),
            });
        }
        Ok(version)
    }

    /// Runs all missing migrations in one transaction. It reads the version again, because another process may have been first.
    fn migrate(&self, connection: &mut Connection) -> Result<(), SqliteStoreError> {
        let failed = |source| self.failed(source);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let version = self.recognise(&transaction)?;
        for step in self
            .content
            .migrations
            .iter()
            .skip(usize::try_from(version).unwrap_or(0))
        {
            transaction.execute_batch(step).map_err(failed)?;
        }
        transaction
            .pragma_update(None, "application_id", self.content.application_id)
            .map_err(failed)?;
        transaction
            .pragma_update(None, "user_version", self.content.newest())
            .map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    fn failed(&self, source: rusqlite::Error) -> SqliteStoreError {
        SqliteStoreError::Open {
            path: self.path.clone(),
            source,
        }
    }
}

/// The application id, the schema version and the number of schema objects. One transaction reads all three, because another
/// process may be creating the schema.
fn header(connection: &Connection) -> rusqlite::Result<(i32, i32, i64)> {
    let _one_moment = connection
        .is_autocommit()
        .then(|| connection.unchecked_transaction())
        .transpose()?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    let objects = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((number("application_id")?, number("user_version")?, objects))
}

/// Whether the files that processes share could not be created.
fn cannot_share(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    )
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn settle(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let power_loss = durability == Durability::PowerLoss;
    connection.pragma_update(None, "synchronous", if power_loss { "FULL" } else { "NORMAL" })?;
    // For macOS, where fsync alone does not reach the medium; elsewhere without effect.
    connection.pragma_update(None, "fullfsync", power_loss)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection
        .pragma_update_and_check(None, "journal_size_limit", LOG_SIZE_LIMIT, |row| {
            row.get::<_, i64>(0)
        })
        .map(|_| ())
}
