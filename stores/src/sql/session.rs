//! How a connection begins, and how it is found out that it is a session of its own.

use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::error::{SqlCode, Unexpected};
use super::statement::Sql;

/// How statements reach PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// A connection is a session of the server's: statements are prepared once and kept under a name. Each new connection
    /// shows that it is one ([`MARK`]), because behind a pooler a name may mean another's statement.
    #[default]
    Direct,
    /// Through a pooler that gives a session for the length of a transaction: each statement stands between BEGIN and COMMIT
    /// and has no name, so that it is prepared, bound and executed in one session, and nothing of it is left there.
    Pooler,
}

/// A session's parameter that is set by the startup message alone. A pooler does not pass it on: it refuses or ignores it.
const MARK: &str = "tessera.connection";

/// How the startup message is refused by those who do not pass its parameters on: by PgBouncer, and by RDS Proxy.
const REFUSALS_OF_POOLERS: [&str; 2] = ["08P01", "0A000"];

/// Whether this is how a pooler refuses a connection. The server takes every parameter that we name.
pub(super) fn is_refusal_of_pooler(code: SqlCode) -> bool {
    REFUSALS_OF_POOLERS.map(SqlCode::state).contains(&code)
}

/// How each connection begins.
pub(super) struct Session {
    /// Run first, each by itself.
    pub(super) settings: Arc<[String]>,
    /// Before each transaction, where each statement is one.
    pub(super) begin: Option<Sql>,
    /// What [`MARK`] is set to.
    mark: Option<String>,
}

impl Session {
    /// One that keeps its settings.
    pub(super) fn plain(settings: Vec<String>) -> Self {
        Self {
            settings: settings.into(),
            begin: None,
            mark: None,
        }
    }

    /// The same, and it is made sure of.
    pub(super) fn marked(settings: Vec<String>) -> Self {
        Self {
            // No secret. Without randomness all have the same, which a pooler would not pass on either.
            mark: Some(format!("{:016x}", getrandom::u64().unwrap_or_default())),
            ..Self::plain(settings)
        }
    }

    /// One for the length of each transaction.
    pub(super) fn of_transactions(begin: String) -> Self {
        Self {
            begin: Some(begin.into()),
            ..Self::plain(Vec::new())
        }
    }

    /// The options with which it is made.
    ///
    /// A pooler refuses parameters of the startup message that are not among the few it knows.
    pub(super) fn options(&self, options: &PgConnectOptions) -> PgConnectOptions {
        match &self.mark {
            Some(mark) => options.clone().options([(MARK, mark)]),
            None => options.clone().extra_float_digits(None),
        }
    }

    pub(super) async fn open_postgres(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if let Some(mark) = &self.mark {
            // Unprepared: behind a pooler, nothing is to be left.
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
