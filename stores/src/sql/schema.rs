//! Creates, recognises and migrates the tables, in one instance at a time.

use std::time::Duration;

use super::SqlStoreError;
use super::dialect::{Access, Content, Dialect, Purpose, Table, of_both, statements};
use super::driver::{Connection, Target};
use super::error::{Fault, SqlCode, SqlError};

/// The longest time of a migration, including the wait for another instance.
const PATIENCE: Duration = Duration::from_secs(30);

/// The properties of the server that were read at the opening.
pub(super) struct Found {
    /// The longest message that the server accepts; `None` in PostgreSQL, whose limit exceeds those of the store.
    pub(super) message_limit: Option<i64>,
}

/// Connects, creates or migrates the tables, checks the rights, and disconnects.
pub(super) async fn ensure(
    target: &Target,
    content: Content,
    table: &Table,
    connect_timeout: Duration,
    access: Access,
) -> Result<Found, SqlStoreError> {
    let dialect = target.dialect();
    // The server's limit is PATIENCE; the one below is twice as long, so that the server's error is reported.
    let session = target.session(PATIENCE, access);
    let connecting = tokio::time::timeout(connect_timeout, target.connect(&session)).await;
    let mut connection = connecting
        .map_err(|_| SqlStoreError::Connect(SqlError::NoConnection))?
        .map_err(|error| SqlStoreError::Connect(target.judge(&error)))?;
    let work = Work {
        connection: &mut connection,
        dialect,
        content,
        table,
    };
    let found = tokio::time::timeout(PATIENCE * 2, work.ensure(access))
        .await
        .map_err(|_| SqlStoreError::Schema(SqlError::TimedOut))??;
    // Closed in order, to keep errors out of the server's log. The connection ends in any case.
    let _ = tokio::time::timeout(connect_timeout, connection.close()).await;
    Ok(found)
}

struct Work<'a> {
    connection: &'a mut Connection,
    dialect: Dialect,
    content: Content,
    table: &'a Table,
}

impl Work<'_> {
    async fn ensure(mut self, access: Access) -> Result<Found, SqlStoreError> {
        // First without a lock and without a write, for users without the right to either.
        let is_old = self.version().await? < self.newest();
        match access {
            Access::Write => {
                if is_old {
                    self.migrate().await?;
                }
                self.check_is_written_to().await?;
                self.check_rights(&["SELECT", "INSERT", "UPDATE", "DELETE"])
                    .await?;
            }
            Access::Read if is_old => {
                return Err(SqlStoreError::NoTables {
                    table: self.table.name.clone(),
                });
            }
            Access::Read => self.check_rights(&["SELECT"]).await?,
        }
        let message_limit = match self.dialect.message_limit() {
            Some(sql) => self.number(sql).await.map_err(failed)?,
            None => None,
        };
        Ok(Found { message_limit })
    }

    /// The schema version; 0 if there are no tables.
    async fn version(&mut self) -> Result<i64, SqlStoreError> {
        let found = match self.number(self.dialect.choose(of_both!("schema_version"))).await {
            Ok(found) => found.unwrap_or(0),
            Err(fault) if self.dialect.is_no_table(fault.error) => 0,
            Err(fault) => return Err(self.forbidden("SELECT", fault)),
        };
        if found > self.newest() {
            return Err(SqlStoreError::Newer {
                table: self.table.name.clone(),
                found,
                supported: self.newest(),
            });
        }
        Ok(found)
    }

    async fn check_is_written_to(&mut self) -> Result<(), SqlStoreError> {
        if let Some(sql) = self.dialect.is_read_only()
            && self.number(sql).await.map_err(failed)? == Some(1)
        {
            let code = SqlCode::Number(1290);
            return Err(SqlStoreError::ReadOnly(SqlError::Server { code }));
        }
        Ok(())
    }

    /// Checks without a write whether the user has these rights, which belong to the first statements of `rights`.
    async fn check_rights(&mut self, rights: &[&'static str]) -> Result<(), SqlStoreError> {
        for (question, right) in self.dialect.rights(self.content).zip(rights) {
            let sql = self.dialect.text(self.table, question);
            if let Err(error) = self.connection.run(&sql).await {
                return Err(self.forbidden(right, Dialect::judge(&error)));
            }
        }
        Ok(())
    }

    fn forbidden(&self, right: &'static str, fault: Fault) -> SqlStoreError {
        match fault.error {
            source if source.is_forbidden() => SqlStoreError::Forbidden {
                table: self.table.name.clone(),
                right,
                source,
            },
            _ => failed(fault),
        }
    }

    fn newest(&self) -> i64 {
        i64::try_from(self.dialect.migrations(self.content).len()).unwrap_or(i64::MAX)
    }

    async fn migrate(&mut self) -> Result<(), SqlStoreError> {
        match self.dialect.transaction_lock(Purpose::Schema) {
            Some(lock) => self.migrate_at_once(&lock).await,
            None => self.migrate_step_by_step().await,
        }
    }

    /// Runs all steps in one transaction, which holds the lock.
    async fn migrate_at_once(&mut self, lock: &str) -> Result<(), SqlStoreError> {
        let judged = |error| failed(Dialect::judge(&error));
        self.connection.begin().await.map_err(judged)?;
        if self.number(lock).await.map_err(failed)? != Some(1) {
            return Err(SqlStoreError::Locked);
        }
        // So that reading the version cannot fail, because an error would end the transaction.
        self.run(self.dialect.choose(of_both!("schema_table"))).await?;
        self.run_missing_steps().await?;
        self.connection.commit().await.map_err(judged)
    }

    async fn run_missing_steps(&mut self) -> Result<(), SqlStoreError> {
        // Read again: another instance may have been first.
        let version = self.version().await?;
        let missing = self.dialect.migrations(self.content).iter().zip(0_i64..);
        for (migration, number) in missing.skip_while(|(_, number)| *number < version) {
            self.step(migration, number).await?;
        }
        Ok(())
    }

    /// Runs the steps in a dialect in which each statement commits by itself.
    async fn migrate_step_by_step(&mut self) -> Result<(), SqlStoreError> {
        let lock = self.dialect.lock(Purpose::Schema);
        if self.number(&lock).await.map_err(failed)? != Some(1) {
            return Err(SqlStoreError::Locked);
        }
        self.run("BEGIN").await?;
        self.run(self.dialect.choose(of_both!("schema_table"))).await?;
        self.run_missing_steps().await?;
        self.run("COMMIT").await?;
        let unlock = self.dialect.unlock(Purpose::Schema);
        self.number(&unlock).await.map_err(failed)?;
        Ok(())
    }

    /// Runs one step, from a version to the next.
    async fn step(&mut self, migration: &str, from: i64) -> Result<(), SqlStoreError> {
        for statement in statements(migration) {
            self.run(statement).await?;
        }
        let number = (from + 1).to_string();
        for statement in statements(self.dialect.choose(of_both!("set_schema_version"))) {
            self.run(&statement.replace("{version}", &number)).await?;
        }
        Ok(())
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
    match fault.error.is_read_only() {
        true => SqlStoreError::ReadOnly(fault.error),
        false => SqlStoreError::Schema(fault.error),
    }
}
