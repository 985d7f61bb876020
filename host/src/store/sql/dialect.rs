//! Where PostgreSQL and MySQL (MariaDB with it) differ: everything that one of them has in a way of its own.

use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;

use super::error::{Fault, SqlCode, SqlError, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    Postgres,
    MySql,
}

impl Dialect {
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
        }
    }

    /// Takes SQL with `?` for parameters and `{…}` for names, as all of it is written here.
    pub(super) fn text(self, table: &str, sql: &str) -> String {
        let quote = match self {
            Self::Postgres => '"',
            Self::MySql => '`',
        };
        let sql = sql
            .replace("{table}", &format!("{quote}{table}{quote}"))
            .replace("{schema}", &format!("{quote}{table}_schema{quote}"))
            .replace("{by_key}", &format!("{quote}{table}_by_key{quote}"))
            .replace("{by_owner}", &format!("{quote}{table}_by_owner{quote}"))
            .replace("{by_expiry}", &format!("{quote}{table}_by_expiry{quote}"))
            .replace("{name}", table);
        match self {
            Self::MySql => sql,
            Self::Postgres => {
                let mut parts = sql.split('?');
                let first = parts.next().unwrap_or_default().to_owned();
                parts
                    .enumerate()
                    .fold(first, |text, (n, part)| format!("{text}${}{part}", n + 1))
            }
        }
    }

    /// What each connection is told first.
    ///
    /// Read committed: each method is one statement, or several that do not rely on one another. Each then sees what is
    /// committed when it begins, and a conditional UPDATE that had to wait for a row judges the row as it is then,
    /// where PostgreSQL's repeatable read would fail instead. In InnoDB, repeatable read would also lock the gaps beside
    /// keys that are not there, and inserts of other keys would wait for them or end in deadlocks.
    pub(super) fn settings(self, statement_timeout: Duration) -> Vec<String> {
        let millis = statement_timeout.as_millis();
        match self {
            Self::Postgres => vec![
                "SET default_transaction_isolation = 'read committed'".to_owned(),
                format!("SET statement_timeout = {millis}"),
            ],
            // The comments are read by MariaDB alone and by MySQL alone; MySQL has no such time-out for writes.
            // Strict, so that nothing is ever cut to fit.
            Self::MySql => vec![
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
                format!(
                    "SET SESSION autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
                     innodb_lock_wait_timeout = {seconds} \
                     /*M!100101 , max_statement_time = {fraction} */ /*!50708 , max_execution_time = {millis} */",
                    seconds = statement_timeout.as_secs().max(1),
                    fraction = statement_timeout.as_secs_f64(),
                ),
            ],
        }
    }

    /// Writes a new row, or over an expired one. Where that takes two statements, the second is [`Self::revive`].
    pub(super) fn insert(self) -> &'static str {
        match self {
            Self::Postgres => {
                "INSERT INTO {table} AS old (session_key, value, version, owner, touched_at, expires_at, ends_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (session_key) DO UPDATE SET value = excluded.value, version = excluded.version,
                     owner = excluded.owner, touched_at = excluded.touched_at, expires_at = excluded.expires_at,
                     ends_at = excluded.ends_at
                 WHERE old.expires_at <= excluded.touched_at"
            }
            // ON DUPLICATE KEY UPDATE would not do: with CLIENT_FOUND_ROWS, by which a touch that changes nothing
            // is told from one that finds nothing, it counts a new row and one left alone the same.
            Self::MySql => {
                "INSERT INTO {table} (session_key, value, version, owner, touched_at, expires_at, ends_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?)"
            }
        }
    }

    /// Writes over an expired row: what is left to do after a duplicate key.
    pub(super) fn revive(self) -> Option<&'static str> {
        match self {
            Self::Postgres => None,
            Self::MySql => Some(
                "UPDATE {table} SET value = ?, version = ?, owner = ?, touched_at = ?, expires_at = ?, ends_at = ?
                 WHERE session_key = ? AND expires_at <= ?",
            ),
        }
    }

    /// Removes a batch of what expired at a time or before.
    pub(super) fn sweep(self) -> &'static str {
        match self {
            // The condition stands twice: a row can be written over between the two.
            Self::Postgres => {
                "DELETE FROM {table} WHERE expires_at <= ? AND id IN
                     (SELECT id FROM {table} WHERE expires_at <= ? ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED)"
            }
            Self::MySql => {
                // The first of the two conditions alone would do; so both dialects take the same parameters.
                "DELETE FROM {table} WHERE expires_at <= ? AND expires_at <= ? ORDER BY expires_at LIMIT ?"
            }
        }
    }

    /// Waits for a lock that ends with the connection. Answers 1 once it is held.
    pub(super) fn lock(self, purpose: Purpose) -> String {
        match self {
            Self::Postgres => format!(
                "SELECT CAST(1 AS BIGINT) FROM pg_advisory_lock({})",
                Self::POSTGRES_LOCK
            )
            .replace("{purpose}", purpose.name()),
            Self::MySql => {
                format!("SELECT GET_LOCK({}, 30)", Self::MYSQL_LOCK).replace("{purpose}", purpose.name())
            }
        }
    }

    /// Takes the lock if it is free. Answers 1 if it is held now.
    pub(super) fn try_lock(self, purpose: Purpose) -> String {
        match self {
            Self::Postgres => format!(
                "SELECT CASE WHEN pg_try_advisory_lock({}) THEN CAST(1 AS BIGINT) ELSE 0 END",
                Self::POSTGRES_LOCK
            )
            .replace("{purpose}", purpose.name()),
            Self::MySql => {
                format!("SELECT GET_LOCK({}, 0)", Self::MYSQL_LOCK).replace("{purpose}", purpose.name())
            }
        }
    }

    pub(super) fn unlock(self, purpose: Purpose) -> String {
        match self {
            Self::Postgres => format!(
                "SELECT CASE WHEN pg_advisory_unlock({}) THEN CAST(1 AS BIGINT) ELSE 0 END",
                Self::POSTGRES_LOCK
            )
            .replace("{purpose}", purpose.name()),
            Self::MySql => {
                format!("SELECT RELEASE_LOCK({})", Self::MYSQL_LOCK).replace("{purpose}", purpose.name())
            }
        }
    }

    /// Advisory locks are numbers, of one database each.
    const POSTGRES_LOCK: &'static str =
        "CAST(CAST('x' || substr(md5('tessera {purpose} {name}'), 1, 16) AS BIT(64)) AS BIGINT)";
    /// Locks are names of at most 64 characters, of the whole server.
    const MYSQL_LOCK: &'static str = "CONCAT('tessera ', MD5(CONCAT('{purpose} {name} ', DATABASE())))";

    /// The longest message that the server takes, where that may be less than the store's limits.
    pub(super) fn message_limit(self) -> Option<&'static str> {
        match self {
            Self::Postgres => None,
            Self::MySql => Some("SELECT CAST(@@max_allowed_packet AS SIGNED)"),
        }
    }

    /// Each brings the schema from the version that is its place in this list to the next: statements, one after the
    /// other. Never change one that was released. In MySQL each commits by itself, so that a step may be found half done.
    ///
    /// `id` is the cursor of walks: an entry keeps it for life, and it gives no key away. In MySQL it also is what rows
    /// are ordered by on disk, so that new ones go to the end.
    /// Keys, owners and, in PostgreSQL, values are bytes: no collation, no character that is refused.
    pub(super) fn migrations(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Postgres => &[&[
                "CREATE TABLE {table} (
                     id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     session_key BYTEA NOT NULL,
                     version BIGINT NOT NULL,      -- 64 random bits, as a signed number
                     owner BYTEA,
                     touched_at BIGINT NOT NULL,   -- milliseconds since 1970, as are the next two
                     expires_at BIGINT NOT NULL,
                     ends_at BIGINT NOT NULL,
                     value BYTEA NOT NULL
                 )",
                "CREATE UNIQUE INDEX {by_key} ON {table} (session_key)",
                "CREATE INDEX {by_owner} ON {table} (owner, id) WHERE owner IS NOT NULL",
                "CREATE INDEX {by_expiry} ON {table} (expires_at)",
            ]],
            Self::MySql => &[&["CREATE TABLE IF NOT EXISTS {table} (
                     id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
                     session_key VARBINARY(512) NOT NULL,
                     version BIGINT NOT NULL COMMENT '64 random bits, as a signed number',
                     owner VARBINARY(512),
                     touched_at BIGINT NOT NULL COMMENT 'milliseconds since 1970',
                     expires_at BIGINT NOT NULL COMMENT 'milliseconds since 1970',
                     ends_at BIGINT NOT NULL COMMENT 'milliseconds since 1970',
                     value LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
                     UNIQUE KEY {by_key} (session_key),
                     KEY {by_owner} (owner, id),
                     KEY {by_expiry} (expires_at)
                 ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC"]],
        }
    }

    /// Makes the table that holds the schema's version, unless it is there.
    pub(super) fn version_table(self) -> &'static str {
        match self {
            Self::Postgres => "CREATE TABLE IF NOT EXISTS {schema} (version BIGINT NOT NULL PRIMARY KEY)",
            Self::MySql => {
                "CREATE TABLE IF NOT EXISTS {schema} (version BIGINT NOT NULL PRIMARY KEY) ENGINE = InnoDB"
            }
        }
    }

    /// Whether the error says that a table is not there.
    pub(super) fn is_no_table(self, error: SqlError) -> bool {
        let none = match self {
            Self::Postgres => SqlCode::state("42P01"),
            Self::MySql => SqlCode::Number(1146),
        };
        error == SqlError::Server { code: none }
    }

    /// Finds out what an error means for the statement that met it.
    pub(super) fn judge(error: &sqlx::Error) -> Fault {
        use sqlx::Error;
        let (verdict, error) = match error {
            Error::Database(error) => {
                if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                    let code = SqlCode::state(error.code());
                    (judge_state(error.code()), SqlError::Server { code })
                } else if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                    let code = SqlCode::Number(error.number());
                    (judge_number(error.number()), SqlError::Server { code })
                } else {
                    (Verdict::Unknown, SqlError::Protocol)
                }
            }
            Error::Io(error) => (Verdict::Unknown, SqlError::Connection(error.kind())),
            Error::Tls(_) => (Verdict::Unknown, SqlError::Tls),
            Error::PoolTimedOut => (Verdict::NotDone, SqlError::NoConnection),
            Error::PoolClosed => (Verdict::NotDone, SqlError::Closed),
            _ => (Verdict::Unknown, SqlError::Protocol),
        };
        Fault { verdict, error }
    }
}

/// What a lock is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Schema,
    Sweep,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Sweep => "sweep",
        }
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn judge_state(code: &str) -> Verdict {
    match code {
        "23505" => Verdict::Duplicate,
        "40001" | "40P01" | "55P03" => Verdict::Again,
        // A plan or statement that was prepared before the table changed; a primary that has become a standby.
        "0A000" | "26000" | "25006" => Verdict::Reconnect,
        "57014" => Verdict::NotDone,
        "53100" => Verdict::Full,
        "54000" => Verdict::TooLarge,
        // Lost, stopped, or completion unknown.
        "40003" | "57P01" | "57P02" | "57P03" | "57P05" => Verdict::Unknown,
        _ => match code.get(..2) {
            Some("53") => Verdict::NotDone,
            Some("08" | "58" | "XX") => Verdict::Unknown,
            // Everything else rolls the statement back.
            _ => Verdict::Mistake,
        },
    }
}

/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>,
/// <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>
fn judge_number(number: u16) -> Verdict {
    match number {
        1062 => Verdict::Duplicate,
        // Without innodb_rollback_on_timeout as with it, the one statement is undone.
        1020 | 1205 | 1213 => Verdict::Again,
        1243 | 1290 | 1615 | 1792 | 1836 => Verdict::Reconnect,
        1040 | 1047 | 1203 | 1226 | 1317 | 1969 | 3024 => Verdict::NotDone,
        1021 | 1114 => Verdict::Full,
        1118 | 1153 => Verdict::TooLarge,
        // Rights, and what is not there.
        1044 | 1045 | 1046 | 1049 | 1054 | 1064 | 1142 | 1143 | 1146 | 1227 | 1364 | 1366 | 1406 | 1665 => {
            Verdict::Mistake
        }
        // The server stops, the connection is killed, a commit fails, and whatever else there is.
        _ => Verdict::Unknown,
    }
}
