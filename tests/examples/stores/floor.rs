//! The floor of each store: bare reads and writes of a text of the same length by its key, through the same client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use rusqlite::Connection;
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};

use super::measure::{Measured, measure};
use super::{Failure, ROWS, TEXT};

/// A text with the length of a record of nine fields.
fn value() -> String {
    TEXT.repeat(20)
}

fn row(number: usize, call: usize) -> usize {
    (number + call * 7_919) % ROWS
}

#[derive(Clone)]
pub(crate) enum Floor {
    Sqlite(Arc<Mutex<Connection>>),
    Redis(MultiplexedConnection),
    Postgres(PgPool),
    MariaDb(MySqlPool),
}

impl Floor {
    pub(crate) fn sqlite(path: &std::path::Path) -> Result<Self, Failure> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = normal; CREATE TABLE floor (k INTEGER PRIMARY KEY, v TEXT)",
        )?;
        for key in 0..ROWS {
            connection.execute("INSERT INTO floor VALUES (?1, ?2)", (key as i64, value()))?;
        }
        Ok(Self::Sqlite(Arc::new(Mutex::new(connection))))
    }

    pub(crate) async fn redis(url: &str) -> Result<Self, Failure> {
        let mut connection = redis::Client::open(url)?
            .get_multiplexed_async_connection()
            .await?;
        for key in 0..ROWS {
            let mut set = redis::cmd("SET");
            set.arg(format!("floor{key}")).arg(value());
            set.query_async::<()>(&mut connection).await?;
        }
        Ok(Self::Redis(connection))
    }

    pub(crate) async fn postgres(url: &str) -> Result<Self, Failure> {
        let options = sqlx::postgres::PgPoolOptions::new().max_connections(10);
        let pool = options.test_before_acquire(false).connect(url).await?;
        for sql in [
            "CREATE TABLE floor (k BIGINT PRIMARY KEY, v BYTEA)".to_owned(),
            format!(
                "INSERT INTO floor SELECT n, '{}' FROM generate_series(0, {}) n",
                value(),
                ROWS - 1
            ),
        ] {
            sqlx::query(AssertSqlSafe(sql)).execute(&pool).await?;
        }
        Ok(Self::Postgres(pool))
    }

    pub(crate) async fn mariadb(url: &str) -> Result<Self, Failure> {
        let options = sqlx::mysql::MySqlPoolOptions::new().max_connections(10);
        let pool = options.test_before_acquire(false).connect(url).await?;
        for sql in [
            "CREATE TABLE floor (k BIGINT PRIMARY KEY, v LONGTEXT)".to_owned(),
            format!(
                "INSERT INTO floor SELECT seq, '{}' FROM seq_0_to_{}",
                value(),
                ROWS - 1
            ),
        ] {
            sqlx::query(AssertSqlSafe(sql)).execute(&pool).await?;
        }
        Ok(Self::MariaDb(pool))
    }

    pub(crate) async fn read(&self, at_once: usize, length: Duration) -> Measured {
        let floor = self.clone();
        measure(at_once, length, move |number, call| {
            let (floor, key) = (floor.clone(), row(number, call));
            async move {
                let length = floor.get(key).await.expect("it is read");
                assert_eq!(length, value().len());
            }
        })
        .await
    }

    pub(crate) async fn write(&self, at_once: usize, length: Duration) -> Measured {
        let floor = self.clone();
        measure(at_once, length, move |number, _| {
            let floor = floor.clone();
            async move { floor.set(number, value()).await.expect("it is written") }
        })
        .await
    }

    async fn get(&self, key: usize) -> Result<usize, Failure> {
        Ok(match self {
            Self::Sqlite(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let mut statement = connection.prepare_cached("SELECT v FROM floor WHERE k = ?1")?;
                statement
                    .query_row([key as i64], |row| row.get::<_, String>(0))?
                    .len()
            }
            Self::Redis(connection) => {
                let mut get = redis::cmd("GET");
                get.arg(format!("floor{key}"));
                get.query_async::<String>(&mut connection.clone()).await?.len()
            }
            Self::Postgres(pool) => {
                let select = sqlx::query_scalar::<_, Vec<u8>>("SELECT v FROM floor WHERE k = $1");
                select.bind(key as i64).fetch_one(pool).await?.len()
            }
            Self::MariaDb(pool) => {
                let select = sqlx::query_scalar::<_, String>("SELECT v FROM floor WHERE k = ?");
                select.bind(key as i64).fetch_one(pool).await?.len()
            }
        })
    }

    async fn set(&self, key: usize, value: String) -> Result<(), Failure> {
        match self {
            Self::Sqlite(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let mut statement = connection.prepare_cached("UPDATE floor SET v = ?2 WHERE k = ?1")?;
                statement.execute((key as i64, value))?;
            }
            Self::Redis(connection) => {
                let mut set = redis::cmd("SET");
                set.arg(format!("floor{key}")).arg(value);
                set.query_async::<()>(&mut connection.clone()).await?;
            }
            Self::Postgres(pool) => {
                let update = sqlx::query("UPDATE floor SET v = $2 WHERE k = $1");
                update
                    .bind(key as i64)
                    .bind(value.into_bytes())
                    .execute(pool)
                    .await?;
            }
            Self::MariaDb(pool) => {
                let update = sqlx::query("UPDATE floor SET v = ? WHERE k = ?");
                update.bind(value).bind(key as i64).execute(pool).await?;
            }
        }
        Ok(())
    }
}
