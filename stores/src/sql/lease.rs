//! A connection of the pool in somebody's hands.

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, MySql, Postgres};

use super::statement::{Answer, Param, Sql, ask_mysql, ask_postgres};

/// A connection of the pool, for some statements.
///
/// What is not given back is cut, and so is what was given back while an answer was due, because the time was up:
/// what it would answer next belongs to the last question. So it goes when the caller goes away, too.
pub(super) struct Lease {
    /// There until the end.
    pooled: Option<Pooled>,
    /// What each transaction begins with, behind a pooler.
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

    /// Asks one statement; behind a pooler as a transaction of its own, unless one has begun.
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
            // A connection that fails here as well is not answered, and so not used again.
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
        // In a transaction, not before it is committed.
        self.may_be_done |= !self.is_in_transaction;
        let is_named = self.begin.is_none();
        let answer = match &mut self.pooled {
            Some(Pooled::Postgres(connection)) => {
                ask_postgres(connection, sql, params, wants_rows, is_named).await
            }
            Some(Pooled::MySql(connection)) => ask_mysql(connection, sql, params, wants_rows).await,
            None => return Err(sqlx::Error::PoolClosed),
        };
        // A server's error is an answer, after which the connection goes on.
        self.is_answered = matches!(answer, Ok(_) | Err(sqlx::Error::Database(_)));
        answer
    }

    /// Whether each statement is a transaction of its own, and [`begin`](Self::begin) begins one of several.
    pub(super) fn is_behind_pooler(&self) -> bool {
        self.begin.is_some()
    }

    /// Whether what was asked may have been done: if not, the server has undone it or will.
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

    /// Runs SQL unprepared. An error, the server's too, leaves the connection in an unknown state.
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

    /// For others to use.
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
