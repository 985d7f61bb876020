//! A leased connection of the pool.

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, MySql, Postgres};

use super::statement::{Answer, Param, Sql, ask_mysql, ask_postgres};

/// A connection of the pool, for one or more statements.
///
/// A connection is closed unless it is given back.
/// It is also closed if an answer is pending when it is given back, as after a time-out, because its next answer would belong
/// to the previous statement. So it is closed as well if the future of the caller is dropped.
pub(super) struct Lease {
    /// `None` only when the lease ends.
    pooled: Option<Pooled>,
    /// Behind a pooler, the beginning of each transaction.
    begin: Option<Sql>,
    is_in_transaction: bool,
    is_answered: bool,
    may_be_done: bool,
}

pub(super) enum Pooled {
    Postgres(PoolConnection<Postgres>),
    MySql(PoolConnection<MySql>),
}

impl Lease {
    pub(super) fn new(pooled: Pooled, begin: Option<Sql>) -> Self {
        Self {
            pooled: Some(pooled),
            begin,
            is_in_transaction: false,
            is_answered: true,
            may_be_done: false,
        }
    }

    /// Runs one statement; behind a pooler in a transaction of its own, unless one has begun.
    pub(super) async fn ask(
        &mut self,
        sql: &Sql,
        params: &[Param<'_>],
        wants_rows: bool,
    ) -> Result<Answer, sqlx::Error> {
        if !self.is_behind_pooler() || self.is_in_transaction {
            return self.ask_alone(sql, params, wants_rows).await;
        }
        self.begin().await?;
        let answer = self.ask_alone(sql, params, wants_rows).await;
        match &answer {
            Ok(_) => self.commit().await?,
            // If the rollback fails as well, an answer is pending, and the connection is not used again.
            Err(_) if self.is_answered => _ = self.roll_back().await,
            Err(_) => {}
        }
        answer
    }

    async fn ask_alone(
        &mut self,
        sql: &Sql,
        params: &[Param<'_>],
        wants_rows: bool,
    ) -> Result<Answer, sqlx::Error> {
        self.is_answered = false;
        // In a transaction, nothing is done before its commit.
        self.may_be_done |= !self.is_in_transaction;
        let is_named = self.begin.is_none();
        let answer = match &mut self.pooled {
            Some(Pooled::Postgres(connection)) => {
                ask_postgres(connection, sql, params, wants_rows, is_named).await
            }
            Some(Pooled::MySql(connection)) => ask_mysql(connection, sql, params, wants_rows).await,
            None => return Err(sqlx::Error::PoolClosed),
        };
        // An error of the server is an answer, after which the connection remains usable.
        self.is_answered = matches!(answer, Ok(_) | Err(sqlx::Error::Database(_)));
        answer
    }

    /// Whether each statement is a transaction of its own, unless [`begin`](Self::begin) has begun one.
    pub(super) fn is_behind_pooler(&self) -> bool {
        self.begin.is_some()
    }

    /// Whether the statements may have been done. If not, the server has undone them or will.
    pub(super) fn may_be_done(&self) -> bool {
        self.may_be_done
    }

    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let begin = self.begin.clone();
        self.run(begin.as_deref().unwrap_or("BEGIN")).await?;
        self.is_in_transaction = true;
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.may_be_done = true;
        self.run("COMMIT").await?;
        self.is_in_transaction = false;
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        self.run("ROLLBACK").await?;
        self.is_in_transaction = false;
        Ok(())
    }

    /// Runs unprepared SQL. Any error, also one of the server, leaves the connection in an unknown state.
    async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        self.is_answered = false;
        match &mut self.pooled {
            Some(Pooled::Postgres(connection)) => connection.execute(AssertSqlSafe(sql)).await.map(|_| ())?,
            Some(Pooled::MySql(connection)) => connection.execute(AssertSqlSafe(sql)).await.map(|_| ())?,
            None => return Err(sqlx::Error::PoolClosed),
        }
        self.is_answered = true;
        Ok(())
    }

    /// Returns the connection to the pool.
    pub(super) fn give_back(mut self) {
        if self.is_answered && !self.is_in_transaction {
            drop(self.pooled.take());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.pooled.take() {
            Some(Pooled::Postgres(connection)) => drop(connection.detach()),
            Some(Pooled::MySql(connection)) => drop(connection.detach()),
            None => {}
        }
    }
}
