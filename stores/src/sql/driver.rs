//! The parts of sqlx that the store uses: connections, statements with parameters, rows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPool, MySqlPoolOptions};
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Database, Executor as _};

use super::dialect::{self, Access, Dialect};
use super::error::SqlError;
use super::lease::{Lease, Pooled};
use super::session::{self, Session, Way};
use super::statement::{Sql, ask_mysql, ask_postgres};

/// How long after its last use a connection is assumed to be alive without a ping.
const TRUST: Duration = Duration::from_secs(1);

/// The time-out of a ping.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// The address and the credentials of a server.
#[derive(Clone)]
pub(super) enum Target {
    Postgres(Box<PgConnectOptions>, Way),
    MySql(Box<MySqlConnectOptions>),
}

/// A connection outside a pool.
pub(super) struct Connection {
    raw: RawConnection,
    begin: Option<Sql>,
    is_in_transaction: bool,
}

enum RawConnection {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

pub(super) enum Pool {
    Postgres(PgPool, Option<Sql>),
    MySql(MySqlPool),
}

/// The size of a pool, and the longest wait for a connection.
pub(super) struct PoolLimits {
    pub(super) max_connections: u32,
    pub(super) acquire_timeout: Duration,
}

/// The moment at which a connection last broke. A connection that has been idle since before is pinged before its use.
#[derive(Default)]
pub(super) struct Suspicion(Mutex<Option<Instant>>);

impl Suspicion {
    pub(super) fn raise(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The moment at which a connection last broke.
    #[cfg(feature = "connections")]
    pub(super) fn raised_at(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn concerns(&self, idle_for: Duration) -> bool {
        let raised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle_for > TRUST || raised.is_some_and(|at| idle_for >= at.elapsed())
    }
}

impl Target {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(..) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// The start of each connection, with a new random mark for each pool.
    pub(super) fn session(&self, statement_timeout: Duration, access: Access) -> Session {
        let mut settings = self.dialect().settings(statement_timeout);
        if access == Access::Read {
            settings.push(self.dialect().only_reading().to_owned());
        }
        match self {
            Self::Postgres(_, Way::Pooler) => {
                Session::of_transactions(dialect::transaction(statement_timeout, access))
            }
            Self::Postgres(_, Way::Direct) => Session::marked(settings),
            Self::MySql(_) => Session::plain(settings),
        }
    }

    pub(super) async fn connect(&self, session: &Session) -> Result<Connection, sqlx::Error> {
        let raw = match self {
            Self::Postgres(options, _) => {
                let mut connection = session.options(options).connect().await?;
                session.open_postgres(&mut connection).await?;
                RawConnection::Postgres(connection)
            }
            Self::MySql(options) => {
                let mut connection = options.connect().await?;
                for setting in session.settings.iter() {
                    connection.execute(AssertSqlSafe(setting.as_str())).await?;
                }
                RawConnection::MySql(connection)
            }
        };
        Ok(Connection {
            raw,
            begin: session.begin.clone(),
            is_in_transaction: false,
        })
    }

    /// Classifies the error of a failed connection.
    pub(super) fn judge(&self, error: &sqlx::Error) -> SqlError {
        let judged = Dialect::judge(error).error;
        match (self, judged) {
            // A server itself accepts every parameter of a direct connection.
            (Self::Postgres(_, Way::Direct), SqlError::Server { code })
                if session::is_refusal_of_pooler(code) =>
            {
                SqlError::Pooler
            }
            _ => judged,
        }
    }

    /// Creates a pool without connections. Needs a tokio runtime.
    pub(super) fn pool(&self, limits: &PoolLimits, session: Session, suspicion: &Arc<Suspicion>) -> Pool {
        match self {
            Self::Postgres(options, _) => {
                let pool = watched(PgPoolOptions::new(), limits, suspicion);
                let (options, begin) = (session.options(options), session.begin.clone());
                let session = Arc::new(session);
                let pool = pool.after_connect(move |connection, _| {
                    let session = Arc::clone(&session);
                    Box::pin(async move { session.open_postgres(connection).await })
                });
                Pool::Postgres(pool.connect_lazy_with(options), begin)
            }
            Self::MySql(options) => {
                let pool = watched(MySqlPoolOptions::new(), limits, suspicion);
                let settings = session.settings;
                let pool = pool.after_connect(move |connection, _| {
                    let settings = Arc::clone(&settings);
                    Box::pin(async move {
                        for setting in settings.iter() {
                            connection.execute(AssertSqlSafe(setting.as_str())).await?;
                        }
                        Ok(())
                    })
                });
                Pool::MySql(pool.connect_lazy_with((**options).clone()))
            }
        }
    }
}

/// Pings only suspect connections. sqlx would ping before each use, which doubles the round trips.
fn watched<D: Database>(
    options: PoolOptions<D>,
    limits: &PoolLimits,
    suspicion: &Arc<Suspicion>,
) -> PoolOptions<D> {
    let suspicion = Arc::clone(suspicion);
    options
        .max_connections(limits.max_connections)
        .acquire_timeout(limits.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(move |connection, idle| {
            let is_suspect = suspicion.concerns(idle.idle_for);
            Box::pin(async move {
                if is_suspect {
                    let ping = tokio::time::timeout(PING_LIMIT, connection.ping()).await;
                    ping.map_err(|_| sqlx::Error::PoolTimedOut)??;
                }
                Ok(true)
            })
        })
}

impl Connection {
    /// Runs unprepared SQL.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        match &mut self.raw {
            RawConnection::Postgres(connection) => connection.execute(AssertSqlSafe(sql)).await.map(|_| ()),
            RawConnection::MySql(connection) => connection.execute(AssertSqlSafe(sql)).await.map(|_| ()),
        }
    }

    /// Begins a transaction of several statements.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let begin = self.begin.clone();
        self.is_in_transaction = true;
        self.run(begin.as_deref().unwrap_or("BEGIN")).await
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.is_in_transaction = false;
        self.run("COMMIT").await
    }

    /// The number in the first column of the first row, if there is a row.
    pub(super) async fn number(&mut self, sql: &str) -> Result<Option<i64>, sqlx::Error> {
        let sql = Sql::from(sql);
        let is_alone = self.begin.is_some() && !self.is_in_transaction;
        if is_alone {
            self.begin().await?;
        }
        let is_named = self.begin.is_none();
        let answer = match &mut self.raw {
            RawConnection::Postgres(connection) => ask_postgres(connection, &sql, &[], true, is_named).await,
            RawConnection::MySql(connection) => ask_mysql(connection, &sql, &[], true).await,
        };
        if is_alone {
            self.is_in_transaction = false;
            self.run("ROLLBACK").await?;
        }
        Ok(answer?.rows.first().and_then(|row| row.number(0)))
    }

    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self.raw {
            RawConnection::Postgres(connection) => connection.close().await,
            RawConnection::MySql(connection) => connection.close().await,
        }
    }
}

impl Pool {
    pub(super) async fn lease(&self) -> Result<Lease, sqlx::Error> {
        let (pooled, begin) = match self {
            Self::Postgres(pool, begin) => (Pooled::Postgres(pool.acquire().await?), begin.clone()),
            Self::MySql(pool) => (Pooled::MySql(pool.acquire().await?), None),
        };
        Ok(Lease::new(pooled, begin))
    }

    /// The maximum number of connections.
    #[cfg(feature = "connections")]
    pub(super) fn size(&self) -> u32 {
        match self {
            Self::Postgres(pool, _) => pool.options().get_max_connections(),
            Self::MySql(pool) => pool.options().get_max_connections(),
        }
    }

    /// Refuses further leases, and waits until all connections are returned.
    pub(super) async fn close(&self) {
        match self {
            Self::Postgres(pool, _) => pool.close().await,
            Self::MySql(pool) => pool.close().await,
        }
    }
}
