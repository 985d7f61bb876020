//! The start of a connection, and the check that it is a session of its own.

use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::error::{SqlCode, Unexpected};
use super::statement::Sql;

/// The way in which statements reach PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// A connection is a session of the server, so statements are prepared once and kept under a name.
    /// Each new connection is checked by its [`MARK`], because behind a pooler a name may refer to another client's statement.
    #[default]
    Direct,
    /// Through a pooler that assigns a session for the length of a transaction.
    /// Each statement is unnamed and runs between BEGIN and COMMIT, so that it is prepared, bound and executed in one session,
    /// and leaves nothing there.
    Pooler,
}

/// A parameter of the session that only the startup message sets. A pooler does not pass it on: it refuses or drops it.
const MARK: &str = "tessera.connection";

/// The errors with which PgBouncer and RDS Proxy refuse a startup message with unknown parameters.
const REFUSALS_OF_POOLERS: [&str; 2] = ["08P01", "0A000"];

/// Whether a pooler refused the connection. The server itself accepts every parameter that the store sends.
pub(super) fn is_refusal_of_pooler(code: SqlCode) -> bool {
    REFUSALS_OF_POOLERS.map(SqlCode::state).contains(&code)
}

/// The start of each connection.
pub(super) struct Session {
    /// The statements that run first, each by itself.
    pub(super) settings: Arc<[String]>,
    /// The beginning of each transaction, if each statement is a transaction.
    pub(super) begin: Option<Sql>,
    /// The value of [`MARK`].
    mark: Option<String>,
}

impl Session {
    /// A session that keeps its settings.
    pub(super) fn plain(settings: Vec<String>) -> Self {
        Self {
            settings: settings.into(),
            begin: None,
            mark: None,
        }
    }

    /// The same, with a mark that verifies it.
    pub(super) fn marked(settings: Vec<String>) -> Self {
        Self {
            // Not a secret. Without randomness all marks are equal, which a pooler would not pass on either.
            mark: Some(format!("{:016x}", getrandom::u64().unwrap_or_default())),
            ..Self::plain(settings)
        }
    }

    /// A session for the length of each transaction.
    pub(super) fn of_transactions(begin: String) -> Self {
        Self {
            begin: Some(begin.into()),
            ..Self::plain(Vec::new())
        }
    }

    /// The options of a connection, with the mark if there is one.
    /// Without a mark, behind a pooler, the startup message has no parameter that a pooler may refuse.
    pub(super) fn options(&self, options: &PgConnectOptions) -> PgConnectOptions {
        match &self.mark {
            Some(mark) => options.clone().options([(MARK, mark)]),
            None => options.clone().extra_float_digits(None),
        }
    }

    pub(super) async fn open_postgres(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if let Some(mark) = &self.mark {
            // Unprepared, so that nothing remains in the session of a pooler.
            let sql = format!("SELECT current_setting('{MARK}', true)");
            let row = connection.fetch_one(AssertSqlSafe(sql)).await?;
            if row.try_get::<Option<String>, _>(0).ok().flatten().as_ref() != Some(mark) {
                return Err(sqlx::Error::Configuration(Box::new(Unexpected)));
            }
        }
        for setting in self.settings.iter() {
            connection.execute(AssertSqlSafe(setting.as_str())).await?;
        }
        Ok(())
    }
}
