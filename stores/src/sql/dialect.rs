//! The differences between PostgreSQL and MySQL (with MariaDB).

use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;

use super::error::{Fault, SqlCode, SqlError, Unexpected, Verdict};
use crate::sections::section;

/// The default name of the table.
pub(super) const TABLE: &str = "tessera_sessions";

// The SQL, which hosts in other languages run as well. The header of each file defines its placeholders.
pub(super) const POSTGRES: &str = include_str!("../../layout/sql/postgres.sql");
pub(super) const MYSQL: &str = include_str!("../../layout/sql/mysql.sql");
#[cfg(feature = "connections")]
pub(super) const MAILBOX_POSTGRES: &str = include_str!("../../layout/sql/mailbox/postgres.sql");
#[cfg(feature = "connections")]
pub(super) const MAILBOX_MYSQL: &str = include_str!("../../layout/sql/mailbox/mysql.sql");

/// A section that both files have.
#[derive(Clone, Copy)]
pub(super) struct Both {
    pub(super) postgres: &'static str,
    pub(super) mysql: &'static str,
}

/// The section of this name in both files. A name that one of the files lacks does not compile.
macro_rules! of_both {
    ($name:literal) => {
        $crate::sql::dialect::Both {
            postgres: const { $crate::sections::section($crate::sql::dialect::POSTGRES, $name) },
            mysql: const { $crate::sections::section($crate::sql::dialect::MYSQL, $name) },
        }
    };
}
pub(super) use of_both;

/// The section of this name in both files of the mailboxes.
#[cfg(feature = "connections")]
macro_rules! of_mailbox {
    ($name:literal) => {
        $crate::sql::dialect::Both {
            postgres: const { $crate::sections::section($crate::sql::dialect::MAILBOX_POSTGRES, $name) },
            mysql: const { $crate::sections::section($crate::sql::dialect::MAILBOX_MYSQL, $name) },
        }
    };
}
#[cfg(feature = "connections")]
pub(super) use of_mailbox;

/// The content of a set of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Sessions,
    #[cfg(feature = "connections")]
    Mailboxes,
}

/// The first table of a content, and its schema if the URL names one. Neither name needs an escape within quotes.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

/// Whether a store is opened read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

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

    pub(super) fn choose(self, both: Both) -> &'static str {
        match self {
            Self::Postgres => both.postgres,
            Self::MySql => both.mysql,
        }
    }

    /// Fills in the SQL of a file: its `{…}` for names, and in PostgreSQL the numbers of its parameters `?`.
    pub(super) fn text(self, table: &Table, sql: &str) -> String {
        let quote = match self {
            Self::Postgres => '"',
            Self::MySql => '`',
        };
        let schema = table.schema.as_ref();
        let within = schema.map_or_else(String::new, |schema| format!("{quote}{schema}{quote}."));
        let table = &table.name;
        let sql = sql
            .replace("{table}", &format!("{within}{quote}{table}{quote}"))
            .replace("{schema}", &format!("{within}{quote}{table}_schema{quote}"))
            .replace("{messages}", &format!("{within}{quote}{table}_messages{quote}"))
            .replace("{watches}", &format!("{within}{quote}{table}_watches{quote}"))
            .replace("{by_key}", &format!("{quote}{table}_by_key{quote}"))
            .replace("{by_owner}", &format!("{quote}{table}_by_owner{quote}"))
            .replace("{by_expiry}", &format!("{quote}{table}_by_expiry{quote}"))
            .replace("{of_messages}", &format!("{quote}{table}_m{quote}"))
            .replace("{of_watches}", &format!("{quote}{table}_w{quote}"))
            .replace("{by_node}", &format!("{quote}{table}_by_node{quote}"))
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

    /// The statements that each connection runs first: they set read committed, and the longest time of a statement.
    ///
    /// Read committed suffices because each method is one statement, or several independent ones.
    /// Each statement sees the data that was committed when it began, and a conditional UPDATE that waited for a row evaluates
    /// the current row; PostgreSQL's repeatable read would fail instead.
    /// In InnoDB, repeatable read would also lock the gaps beside missing keys, and inserts of other keys would wait for them
    /// or deadlock.
    pub(super) fn settings(self, statement_timeout: Duration) -> Vec<String> {
        let fill = |sql| with_timeout(sql, statement_timeout);
        statements(self.choose(of_both!("session"))).map(fill).collect()
    }

    /// Waits for a lock that ends with the transaction, if the dialect creates tables in one. Returns 1 once it is held.
    pub(super) fn transaction_lock(self, purpose: Purpose) -> Option<String> {
        match self {
            Self::Postgres => Some(purpose.fill(const { section(POSTGRES, "transaction_lock") })),
            Self::MySql => None,
        }
    }

    /// Takes that lock if it is free. Returns 1 if it is held now.
    pub(super) fn try_transaction_lock(self, purpose: Purpose) -> Option<String> {
        match self {
            Self::Postgres => Some(purpose.fill(const { section(POSTGRES, "try_transaction_lock") })),
            Self::MySql => None,
        }
    }

    /// Overwrites an expired row after a duplicate key, if `insert` does not do so itself.
    pub(super) fn revive(self) -> Option<&'static str> {
        match self {
            Self::Postgres => None,
            Self::MySql => Some(const { section(MYSQL, "revive") }),
        }
    }

    /// Notifies the caches of other hosts of a write.
    pub(super) fn notify(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some(const { section(POSTGRES, "notify") }),
            Self::MySql => None,
        }
    }

    /// Waits for a lock that ends with the connection. Returns 1 once it is held.
    pub(super) fn lock(self, purpose: Purpose) -> String {
        purpose.fill(self.choose(of_both!("lock")))
    }

    /// Takes the lock if it is free. Returns 1 if it is held now.
    pub(super) fn try_lock(self, purpose: Purpose) -> String {
        purpose.fill(self.choose(of_both!("try_lock")))
    }

    pub(super) fn unlock(self, purpose: Purpose) -> String {
        purpose.fill(self.choose(of_both!("unlock")))
    }

    /// Returns 1 if the server is read-only, for a dialect in which the statements of `rights` may succeed nevertheless.
    pub(super) fn is_read_only(self) -> Option<&'static str> {
        match self {
            Self::Postgres => None,
            Self::MySql => Some(const { section(MYSQL, "is_read_only") }),
        }
    }

    /// Makes a session read-only, as a safeguard.
    pub(super) fn only_reading(self) -> &'static str {
        match self {
            Self::Postgres => "SET default_transaction_read_only = on",
            Self::MySql => "SET SESSION TRANSACTION READ ONLY",
        }
    }

    /// The longest message that the server accepts, if it may be shorter than the store's limits.
    pub(super) fn message_limit(self) -> Option<&'static str> {
        match self {
            Self::Postgres => None,
            Self::MySql => Some(const { section(MYSQL, "message_limit") }),
        }
    }

    /// The migration at index `n` leads from schema version `n` to `n + 1`. Never change a released one.
    /// In MySQL each of its statements commits by itself, so that a migration may be half done and must be repeatable.
    pub(super) fn migrations(self, content: Content) -> &'static [&'static str] {
        match (content, self) {
            (Content::Sessions, Self::Postgres) => const { &[section(POSTGRES, "migration_1")] },
            (Content::Sessions, Self::MySql) => const { &[section(MYSQL, "migration_1")] },
            #[cfg(feature = "connections")]
            (Content::Mailboxes, Self::Postgres) => const { &[section(MAILBOX_POSTGRES, "migration_1")] },
            #[cfg(feature = "connections")]
            (Content::Mailboxes, Self::MySql) => const { &[section(MAILBOX_MYSQL, "migration_1")] },
        }
    }

    /// The statements that check the rights to SELECT, INSERT, UPDATE and DELETE, in this order.
    pub(super) fn rights(self, content: Content) -> impl Iterator<Item = &'static str> {
        statements(self.choose(match content {
            Content::Sessions => of_both!("rights"),
            #[cfg(feature = "connections")]
            Content::Mailboxes => of_mailbox!("rights"),
        }))
    }

    /// Whether the error means that a table does not exist.
    pub(super) fn is_no_table(self, error: SqlError) -> bool {
        let none = match self {
            Self::Postgres => SqlCode::state("42P01"),
            Self::MySql => SqlCode::Number(1146),
        };
        error == SqlError::Server { code: none }
    }

    /// Classifies an error by its meaning for the failed statement.
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
            Error::Io(error) if is_lookup(error) => (Verdict::NotDone, SqlError::HostNotFound),
            Error::Io(error) => (Verdict::Unknown, SqlError::Connection(error.kind())),
            Error::Tls(_) => (Verdict::Unknown, SqlError::Tls),
            Error::Configuration(error) if error.is::<Unexpected>() => (Verdict::Reconnect, SqlError::Pooler),
            Error::PoolTimedOut => (Verdict::NotDone, SqlError::NoConnection),
            Error::PoolClosed => (Verdict::NotDone, SqlError::Closed),
            _ => (Verdict::Unknown, SqlError::Protocol),
        };
        Fault { verdict, error }
    }
}

/// Whether the lookup of an address failed. The standard library gives such an error an unnamed kind and no error number.
fn is_lookup(error: &std::io::Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().starts_with("failed to lookup address")
}

/// Begins each transaction behind a pooler, with the settings of [`Dialect::settings`] for one transaction.
pub(super) fn transaction(statement_timeout: Duration, access: Access) -> String {
    let begin = with_timeout(const { section(POSTGRES, "transaction") }, statement_timeout);
    match access {
        Access::Write => begin,
        Access::Read => format!("{begin}; SET LOCAL transaction_read_only = on"),
    }
}

fn with_timeout(sql: &str, timeout: Duration) -> String {
    sql.replace("{millis}", &timeout.as_millis().to_string())
        .replace("{fraction}", &timeout.as_secs_f64().to_string())
        .replace("{seconds}", &timeout.as_secs().max(1).to_string())
}

/// The statements of a section, in their order. A semicolon ends each one, and occurs nowhere else.
pub(super) fn statements(section: &str) -> impl Iterator<Item = &str> {
    section
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
}

/// The purpose of a lock.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Schema,
    Sweep,
}

impl Purpose {
    fn fill(self, sql: &str) -> String {
        sql.replace("{purpose}", self.name())
    }

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
        // A plan or statement that was prepared before the table changed; a statement that does not exist or is another
        // client's, as behind a pooler; a primary that has become a standby; a transaction that was idle for too long.
        "0A000" | "26000" | "42P05" | "25006" | "25P03" => Verdict::Reconnect,
        "57014" => Verdict::NotDone,
        "53100" => Verdict::Full,
        "54000" => Verdict::TooLarge,
        // Connection lost, server stopped, or completion unknown.
        "40003" | "57P01" | "57P02" | "57P03" | "57P05" => Verdict::Unknown,
        _ => match code.get(..2) {
            Some("53") => Verdict::NotDone,
            Some("08" | "58" | "XX") => Verdict::Unknown,
            // All other errors roll the statement back.
            _ => Verdict::Mistake,
        },
    }
}

/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>,
/// <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>
fn judge_number(number: u16) -> Verdict {
    match number {
        1062 => Verdict::Duplicate,
        // With and without innodb_rollback_on_timeout, the one statement is undone.
        1020 | 1205 | 1213 => Verdict::Again,
        // 4031: the connection was idle for too long.
        1243 | 1290 | 1615 | 1792 | 1836 | 4031 => Verdict::Reconnect,
        1040 | 1047 | 1203 | 1226 | 1317 | 1969 | 3024 => Verdict::NotDone,
        1021 | 1114 => Verdict::Full,
        1118 | 1153 => Verdict::TooLarge,
        // Missing rights, and missing databases, tables or columns.
        1044 | 1045 | 1046 | 1049 | 1054 | 1064 | 1142 | 1143 | 1146 | 1227 | 1364 | 1366 | 1406 | 1665 => {
            Verdict::Mistake
        }
        // The server stops, the connection is killed, a commit fails, and all other errors.
        _ => Verdict::Unknown,
    }
}
