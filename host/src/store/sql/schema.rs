//! The tables: made, recognised and brought up to date, by one instance at a time.

use std::time::Duration;

use super::SqlStoreError;
use super::dialect::{Dialect, Purpose, of_both, statements};
use super::driver::{Connection, Target};
use super::error::{Fault, SqlError};

/// How long making the tables may take, waiting for another instance that makes them included.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was found out while the tables were made sure of.
pub(super) struct Found {
    /// The longest message that the server takes.
    pub(super) message_limit: Option<i64>,
}

/// Connects, sees to the tables, and leaves.
pub(super) async fn ensure(
    target: &Target,
    table: &str,
    connect_timeout: Duration,
) -> Result<Found, SqlStoreError> {
    let dialect = target.dialect();
    // Once more than the server's own limit, which is the one to be told of.
    let settings = dialect.settings(PATIENCE);
    let connecting = tokio::time::timeout(connect_timeout, target.connect(&settings)).await;
    let mut connection = connecting
        .map_err(|_| SqlStoreError::Connect(SqlError::NoConnection))?
        .map_err(|error| SqlStoreError::Connect(Dialect::judge(&error).error))?;
    let work = Work {
        connection: &mut connection,
        dialect,
        table,
    };
    let found = tokio::time::timeout(PATIENCE * 2, work.ensure())
        .await
        .map_err(|_| SqlStoreError::Schema(SqlError::TimedOut))??;
    // It ends in any case; in order is kinder to the server's log.
    let _ = tokio::time::timeout(connect_timeout, connection.close()).await;
    Ok(found)
}

struct Work<'a> {
    connection: &'a mut Connection,
    dialect: Dialect,
    table: &'a str,
}

impl Work<'_> {
    async fn ensure(mut self) -> Result<Found, SqlStoreError> {
        // First without a lock and without a write, for users who may do neither.
        if self.version().await? < self.newest() {
            self.migrate().await?;
        }
        let message_limit = match self.dialect.message_limit() {
            Some(sql) => self.number(sql).await.map_err(failed)?,
            None => None,
        };
        Ok(Found { message_limit })
    }

    /// The schema's version; 0 if there are no tables.
    async fn version(&mut self) -> Result<i64, SqlStoreError> {
        let found = match self.number(self.dialect.choose(of_both!("schema_version"))).await {
            Ok(found) => found.unwrap_or(0),
            Err(fault) if self.dialect.is_no_table(fault.error) => 0,
            Err(fault) => return Err(failed(fault)),
        };
        if found > self.newest() {
            return Err(SqlStoreError::Newer {
                table: self.table.to_owned(),
                found,
                supported: self.newest(),
            });
        }
        Ok(found)
    }

    fn newest(&self) -> i64 {
        i64::try_from(self.dialect.migrations().len()).unwrap_or(i64::MAX)
    }

    async fn migrate(&mut self) -> Result<(), SqlStoreError> {
        let lock = self.dialect.lock(Purpose::Schema);
        if self.number(&lock).await.map_err(failed)? != Some(1) {
            return Err(SqlStoreError::Locked);
        }
        // Read again: another instance may have been first.
        let version = self.version().await?;
        let missing = self.dialect.migrations().iter().zip(0_i64..);
        for (migration, number) in missing.skip_while(|(_, number)| *number < version) {
            self.step(migration, number).await?;
        }
        let unlock = self.dialect.unlock(Purpose::Schema);
        self.number(&unlock).await.map_err(failed)?;
        Ok(())
    }

    /// One step, from a version to the next. In MySQL each statement of it commits by itself.
    async fn step(&mut self, migration: &str, from: i64) -> Result<(), SqlStoreError> {
        self.run("BEGIN").await?;
        self.run(self.dialect.choose(of_both!("schema_table"))).await?;
        for statement in statements(migration) {
            self.run(statement).await?;
        }
        let number = (from + 1).to_string();
        for statement in statements(self.dialect.choose(of_both!("set_schema_version"))) {
            self.run(&statement.replace("{version}", &number)).await?;
        }
        self.run("COMMIT").await
    }

    async fn run(&mut self, sql: &str) -> Result<(), SqlStoreError> {
        let sql = self.dialect.text(self.table, sql);
        let done = self.connection.run(&sql).await;
        done.map_err(|error| failed(Dialect::judge(&error)))
    }

    async fn number(&mut self, sql: &str) -> Result<Option<i64>, Fault> {
        let sql = self.dialect.text(self.table, sql);
        self.connection
            .number(&sql)
            .await
            .map_err(|error| Dialect::judge(&error))
    }
}

fn failed(fault: Fault) -> SqlStoreError {
    SqlStoreError::Schema(fault.error)
}
