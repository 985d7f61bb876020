//! A database's URL: where it is, as whom to come, and the store's own settings.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::SqlStoreError;
use super::dialect::Dialect;
use super::driver::Target;

/// What of a URL goes to the driver as it stands. All others are refused: a misspelt `sslmode` is no small thing.
const POSTGRES_PARAMETERS: [&str; 7] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "application_name",
    "options",
];
const MYSQL_PARAMETERS: [&str; 5] = ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

/// PostgreSQL's names end at 63 bytes, and the indexes' are longer than the table's.
const MAXIMUM_NAME_BYTES: usize = 48;
const MAXIMUM_CONNECTIONS: u32 = 1000;
const MAXIMUM_TIMEOUT: Duration = Duration::from_secs(60);

/// The URL of a database: `postgres://`, `postgresql://`, `mysql://` or `mariadb://`.
///
/// Neither `Debug` nor `Display` shows user or password.
#[derive(Clone)]
pub struct SqlUrl {
    /// As it was given, for comparison alone: it holds the password.
    text: String,
    pub(super) target: Target,
    pub(super) settings: Given,
}

/// The settings that a URL names.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) table: Option<String>,
    pub(super) max_connections: Option<u32>,
    pub(super) acquire_timeout: Option<Duration>,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) sweep_interval: Option<Duration>,
    pub(super) survives_failover: Option<bool>,
    pub(super) announces: Option<bool>,
}

impl SqlUrl {
    /// Whether a URL of this scheme is one of these.
    pub(crate) fn is_scheme(scheme: &str) -> bool {
        dialect(scheme).is_some()
    }

    /// Where it is, and which table there.
    pub(in crate::store) fn identity(&self) -> String {
        let table = self.settings.table.as_deref().unwrap_or(super::builder::TABLE);
        // Which schema the table is in is the user's or an option's business: two tables of one name are told apart by neither.
        let (_, parameters) = self.text.split_once('?').unwrap_or_default();
        let options = parameters
            .split('&')
            .find(|parameter| parameter.starts_with("options="));
        let place = self.to_string();
        let place = place.split_once('?').map_or(place.as_str(), |(place, _)| place);
        format!("{place}?table={table}&{}", options.unwrap_or_default())
    }

    /// `postgres` or `mysql`.
    pub fn scheme(&self) -> &'static str {
        self.target.dialect().scheme()
    }
}

fn dialect(scheme: &str) -> Option<Dialect> {
    match scheme {
        "postgres" | "postgresql" => Some(Dialect::Postgres),
        "mysql" | "mariadb" => Some(Dialect::MySql),
        _ => None,
    }
}

impl FromStr for SqlUrl {
    type Err = SqlStoreError;

    fn from_str(text: &str) -> Result<Self, SqlStoreError> {
        let url = |reason| SqlStoreError::Url(reason);
        let (scheme, rest) = text.split_once("://").ok_or(url("has no `://`"))?;
        let dialect = dialect(scheme).ok_or(url("is neither PostgreSQL's nor MySQL's"))?;
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        // Where a password holds one of these plainly, what follows is taken for a host or a database.
        let path = place.split_once('/').map_or("", |(_, path)| path);
        if path.contains(['@', '/', ':']) || text.contains('#') {
            return Err(url(
                "is not well-formed: in user and password, write / ? # @ : % as %2F %3F %23 %40 %3A %25",
            ));
        }
        let mut settings = Given::default();
        let mut kept = String::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if settings.take(name, value)? {
                continue;
            }
            let known: &[&str] = match dialect {
                Dialect::Postgres => &POSTGRES_PARAMETERS,
                Dialect::MySql => &MYSQL_PARAMETERS,
            };
            if !known.contains(&name) {
                return Err(url(match dialect {
                    Dialect::Postgres => {
                        "has an unknown parameter; there are table, max_connections, acquire_timeout_ms, \
                         statement_timeout_ms, sweep_interval_s, failover, announce, sslmode, sslrootcert, sslcert, sslkey, \
                         host, application_name, options"
                    }
                    Dialect::MySql => {
                        "has an unknown parameter; there are table, max_connections, acquire_timeout_ms, \
                         statement_timeout_ms, sweep_interval_s, failover, announce, ssl-mode, ssl-ca, ssl-cert, ssl-key, socket"
                    }
                }));
            }
            kept.push(if kept.is_empty() { '?' } else { '&' });
            kept.push_str(parameter);
        }
        let plain = format!("{}://{place}{kept}", dialect.scheme());
        // What the driver says of a URL may quote it.
        let refused = |_| url("is not well-formed, or a parameter's value is none");
        let target = match dialect {
            Dialect::Postgres => {
                let options = plain.parse::<PgConnectOptions>().map_err(refused)?;
                Target::Postgres(Box::new(options.disable_statement_logging()))
            }
            Dialect::MySql => {
                let options = plain.parse::<MySqlConnectOptions>().map_err(refused)?;
                // What is set of these, the dialect sets.
                let options = options.pipes_as_concat(false).no_engine_substitution(false);
                Target::MySql(Box::new(options.timezone(None).disable_statement_logging()))
            }
        };
        Ok(Self {
            text: text.to_owned(),
            target,
            settings,
        })
    }
}

impl Given {
    /// Takes a parameter if it is one of the store's own.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, SqlStoreError> {
        let number = |reason| value.parse::<u32>().map_err(|_| SqlStoreError::Url(reason));
        let timeout = |reason| {
            let timeout = Duration::from_millis(number(reason)?.into());
            check_timeout(timeout).map_err(|_| SqlStoreError::Url(reason))
        };
        match name {
            "table" => self.table = Some(check_table(value)?),
            "max_connections" => {
                let reason = "has a max_connections that is not 1 to 1000";
                let connections = number(reason)?;
                if !(1..=MAXIMUM_CONNECTIONS).contains(&connections) {
                    return Err(SqlStoreError::Url(reason));
                }
                self.max_connections = Some(connections);
            }
            "acquire_timeout_ms" => {
                self.acquire_timeout = Some(timeout("has an acquire_timeout_ms that is not 100 to 60000")?);
            }
            "statement_timeout_ms" => {
                self.statement_timeout =
                    Some(timeout("has a statement_timeout_ms that is not 100 to 60000")?);
            }
            "sweep_interval_s" => {
                let seconds = number("has a sweep_interval_s that is no number")?;
                self.sweep_interval = Some(Duration::from_secs(seconds.into()));
            }
            "failover" => {
                self.survives_failover = Some(match value {
                    "lossless" => true,
                    "lossy" => false,
                    _ => {
                        return Err(SqlStoreError::Url(
                            "has a failover that is neither lossless nor lossy",
                        ));
                    }
                });
            }
            "announce" => {
                let announces = value.parse();
                let reason = "has an announce that is neither true nor false";
                self.announces = Some(announces.map_err(|_| SqlStoreError::Url(reason))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Less would time out by itself, more would hold up who waits.
pub(super) fn check_timeout(timeout: Duration) -> Result<Duration, SqlStoreError> {
    if (Duration::from_millis(100)..=MAXIMUM_TIMEOUT).contains(&timeout) {
        return Ok(timeout);
    }
    Err(SqlStoreError::Url("has a time-out that is not 100 ms to 60 s"))
}

pub(super) fn check_table(name: &str) -> Result<String, SqlStoreError> {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let begins = name.bytes().next().is_some_and(is_letter);
    let goes_on = name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit());
    if begins && goes_on && name.len() <= MAXIMUM_NAME_BYTES {
        return Ok(name.to_owned());
    }
    Err(SqlStoreError::TableName)
}

impl PartialEq for SqlUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SqlUrl {}

/// Host, port and database, and the table if one is named.
impl fmt::Display for SqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port, database) = match &self.target {
            Target::Postgres(options) => (options.get_host(), options.get_port(), options.get_database()),
            Target::MySql(options) => (options.get_host(), options.get_port(), options.get_database()),
        };
        write!(
            f,
            "{}://{host}:{port}/{}",
            self.scheme(),
            database.unwrap_or_default()
        )?;
        match &self.settings.table {
            Some(table) => write!(f, "?table={table}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_neither_user_nor_password() {
        for text in [
            "postgres://alice:s3cret%2F%40@db.example:5433/app?table=logins&sslmode=require",
            "postgresql://alice:s3cret@db.example:5433/app?table=logins",
            "mysql://alice:s3cret%3A@db.example:5433/app?table=logins",
            "mariadb://alice:s3cret@db.example:5433/app?table=logins&max_connections=3&failover=lossless",
        ] {
            let url: SqlUrl = text.parse().expect("a URL");
            let shown = format!("{url} {url:?}");
            assert!(shown.contains("://db.example:5433/app?table=logins"), "{shown}");
            assert!(!shown.contains("alice") && !shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_quoted() {
        for text in [
            "postgres:",
            "postgres:/h/d",
            "redis://h/d",
            "postgres://u:s3cret/x@h/d",
            "postgres://u:s3cret#@h/d",
            "postgres://u:p@h:s3cret/d",
            "postgres://h/d?s3cret=1",
            "mysql://h/d?sslmode=require",
            "mysql://h/d?ssl-mode=s3cret",
            "mysql://h/d?max_connections=0",
            "mysql://h/d?max_connections=1001",
            "mysql://h/d?acquire_timeout_ms=99",
            "mysql://h/d?statement_timeout_ms=60001",
            "mysql://h/d?sweep_interval_s=s3cret",
            "mysql://h/d?failover=s3cret",
            "postgres://h/d?announce=s3cret",
        ] {
            let error = text.parse::<SqlUrl>().expect_err(text);
            assert!(matches!(error, SqlStoreError::Url(_)), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn a_table_that_is_no_name_is_refused() {
        for name in [
            "",
            "1a",
            "a b",
            "a;b",
            "a`",
            "a\"",
            "a%20b",
            "é",
            "a.b",
            &"a".repeat(49),
        ] {
            let error = format!("mysql://h/d?table={name}").parse::<SqlUrl>();
            assert!(
                matches!(error, Err(SqlStoreError::TableName)),
                "{name}: {error:?}"
            );
        }
        for name in ["a", "_", "A_1", "order", &"a".repeat(48)] {
            let url: SqlUrl = format!("mysql://h/d?table={name}").parse().expect(name);
            assert_eq!(url.settings.table.as_deref(), Some(name));
        }
    }
}
