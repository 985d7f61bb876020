//! One statement: its SQL, its parameters and its answer.

use std::sync::Arc;

use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlRow};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, MySql, Postgres, Row as _};

/// The SQL of a statement, built once.
pub(super) type Sql = Arc<str>;

/// A parameter.
#[derive(Clone, Copy)]
pub(super) enum Param<'a> {
    Number(i64),
    /// A guard; NULL keeps the current one.
    Guard(Option<i64>),
    Bytes(&'a [u8]),
    /// Bytes, or NULL.
    Optional(Option<&'a [u8]>),
    /// A value: bytes to PostgreSQL, text to MySQL.
    Value(&'a str),
}

/// The answer to a statement.
pub(super) struct Answer {
    /// The rows, if they were requested.
    pub(super) rows: Vec<Row>,
    /// The number of rows that matched: for an UPDATE, including those that it did not change. 0 if rows were requested.
    pub(super) affected: u64,
}

pub(super) enum Row {
    Postgres(PgRow),
    MySql(MySqlRow),
}

/// Runs a statement. An unnamed one ends with its transaction, and must run within one.
pub(super) async fn ask_postgres(
    connection: &mut PgConnection,
    sql: &Sql,
    params: &[Param<'_>],
    wants_rows: bool,
    is_named: bool,
) -> Result<Answer, sqlx::Error> {
    let query: Query<'_, Postgres, PgArguments> = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    let mut query = query.persistent(is_named);
    for param in params {
        query = match *param {
            Param::Number(number) => query.bind(number),
            Param::Guard(guard) => query.bind(guard),
            Param::Bytes(bytes) => query.bind(bytes),
            Param::Optional(bytes) => query.bind(bytes),
            Param::Value(value) => query.bind(value.as_bytes()),
        };
    }
    if wants_rows {
        let rows = query.fetch_all(connection).await?;
        let rows = rows.into_iter().map(Row::Postgres).collect();
        return Ok(Answer { rows, affected: 0 });
    }
    let affected = query.execute(connection).await?.rows_affected();
    Ok(Answer {
        rows: Vec::new(),
        affected,
    })
}

pub(super) async fn ask_mysql(
    connection: &mut MySqlConnection,
    sql: &Sql,
    params: &[Param<'_>],
    wants_rows: bool,
) -> Result<Answer, sqlx::Error> {
    let mut query: Query<'_, MySql, MySqlArguments> = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    for param in params {
        query = match *param {
            Param::Number(number) => query.bind(number),
            Param::Guard(guard) => query.bind(guard),
            Param::Bytes(bytes) => query.bind(bytes),
            Param::Optional(bytes) => query.bind(bytes),
            Param::Value(value) => query.bind(value),
        };
    }
    if wants_rows {
        let rows = query.fetch_all(connection).await?;
        let rows = rows.into_iter().map(Row::MySql).collect();
        return Ok(Answer { rows, affected: 0 });
    }
    let affected = query.execute(connection).await?.rows_affected();
    Ok(Answer {
        rows: Vec::new(),
        affected,
    })
}

impl Row {
    /// The number in a column; `None` if it is NULL or not a number.
    pub(super) fn number(&self, column: usize) -> Option<i64> {
        let number = match self {
            Self::Postgres(row) => row.try_get::<Option<i64>, _>(column),
            Self::MySql(row) => row.try_get::<Option<i64>, _>(column),
        };
        number.ok().flatten()
    }

    /// The bytes in a column of any type; `None` if it is NULL.
    pub(super) fn bytes(&self, column: usize) -> Option<&[u8]> {
        let bytes = match self {
            Self::Postgres(row) => row.try_get_unchecked::<Option<&[u8]>, _>(column),
            Self::MySql(row) => row.try_get_unchecked::<Option<&[u8]>, _>(column),
        };
        bytes.ok().flatten()
    }

    /// The text in a column; `None` if it is NULL or not UTF-8.
    pub(super) fn text(&self, column: usize) -> Option<&str> {
        self.bytes(column)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}
