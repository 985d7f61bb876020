//! The options of a database's URL: the store's own settings, and those of other clients and of database providers.
//! An unsupported option is refused by its name, so that no operator relies on it.

use std::path::PathBuf;
use std::time::Duration;

use super::SqlStoreError;
use super::dialect::Dialect;
use super::session::Way;
use crate::percent::encoded;

/// PostgreSQL limits names to 63 bytes, and the names of the indexes are longer than that of the table.
const MAXIMUM_NAME_BYTES: usize = 48;
const MAXIMUM_SCHEMA_BYTES: usize = 63;
const MAXIMUM_CONNECTIONS: u32 = 1000;
const MAXIMUM_TIMEOUT: Duration = Duration::from_secs(60);

/// Options of other clients that have no effect here or cannot be supported. Any other unknown name is not quoted in an error,
/// because it may be a part of a password.
const FOREIGN: [&str; 56] = [
    "allowPublicKeyRetrieval",
    "authPlugins",
    "autoReconnect",
    "binary_parameters",
    "characterEncoding",
    "collation",
    "default_query_exec_mode",
    "enabledTLSProtocols",
    "gssdelegation",
    "gsslib",
    "idle_in_transaction_session_timeout",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "loc",
    "lock_timeout",
    "loginTimeout",
    "multiStatements",
    "parseTime",
    "passfile",
    "pool",
    "pool_size",
    "prepareThreshold",
    "preparedStatementCacheQueries",
    "prepared_statements",
    "reWriteBatchedInserts",
    "read_timeout",
    "readTimeout",
    "replication",
    "requirepeer",
    "require_auth",
    "serverTimezone",
    "service",
    "servicefile",
    "socketTimeout",
    "socket_timeout",
    "ssl_max_protocol_version",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslfactory",
    "sslidentity",
    "sslkeylogfile",
    "sslpassword",
    "statement-cache-capacity",
    "statement_cache_size",
    "statement_timeout",
    "stringtype",
    "tcpKeepAlive",
    "tcp_user_timeout",
    "time-zone",
    "timezone",
    "uselibpqcompat",
    "writeTimeout",
];

const UNKNOWN_TO_POSTGRES: &str = "has an unknown option; the known ones are table, schema, pooler, direct, max_connections, \
     acquire_timeout_ms, connect_timeout, statement_timeout_ms, sweep_interval_s, failover, announce, sslmode, sslrootcert, \
     sslcert, sslkey, host, port, user, password, dbname, application_name, options";
const UNKNOWN_TO_MYSQL: &str = "has an unknown option; the known ones are table, max_connections, acquire_timeout_ms, \
     connect_timeout, statement_timeout_ms, sweep_interval_s, failover, announce, ssl-mode, ssl-ca, ssl-cert, ssl-key, \
     socket, charset";

/// The settings that a URL names. No `Debug`, because they may contain secrets.
#[derive(Clone, Default)]
pub(super) struct Given {
    pub(super) table: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) max_connections: Option<u32>,
    pub(super) acquire_timeout: Option<Duration>,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) sweep_interval: Option<Duration>,
    pub(super) survives_failover: Option<bool>,
    pub(super) announces: Option<bool>,
    pub(super) way: Way,
    /// The URL of the server itself, beside a pooler.
    pub(super) direct: Option<String>,
    /// The settings that PostgreSQL applies to each session.
    pub(super) session_options: Option<String>,
    /// The `acquire_timeout`, unless the URL names one.
    connect_timeout: Option<Duration>,
    tls_mode: Option<&'static str>,
    certificates: Vec<(&'static str, String)>,
    driver: Vec<(&'static str, String)>,
}

impl Given {
    /// Applies one option, with a decoded value.
    pub(super) fn take(&mut self, dialect: Dialect, name: &str, value: String) -> Result<(), SqlStoreError> {
        if self.take_own(name, &value)? {
            return Ok(());
        }
        let is_taken = match dialect {
            Dialect::Postgres => self.take_postgres(name, value)?,
            Dialect::MySql => self.take_mysql(name, value)?,
        };
        if is_taken {
            return Ok(());
        }
        let foreign = FOREIGN.into_iter().find(|foreign| *foreign == name);
        Err(foreign.map_or_else(
            || {
                SqlStoreError::Url(match dialect {
                    Dialect::Postgres => UNKNOWN_TO_POSTGRES,
                    Dialect::MySql => UNKNOWN_TO_MYSQL,
                })
            },
            |name| refused(name, "is not supported: remove it"),
        ))
    }

    /// Checks the combination of the options.
    pub(super) fn check(&mut self) -> Result<(), SqlStoreError> {
        self.acquire_timeout = self.acquire_timeout.or(self.connect_timeout);
        match self.way {
            Way::Pooler if self.session_options.is_some() => Err(refused(
                "options",
                "sets parameters of a session, which a pooler does not keep: set them for the user (ALTER ROLE … SET), or name a \
                 schema with schema=",
            )),
            Way::Direct if self.direct.is_some() => Err(refused(
                "direct",
                "is the URL of the server behind a pooler, and needs pooler=transaction",
            )),
            _ => Ok(()),
        }
    }

    /// The options for the driver, in the form of a URL's query.
    pub(super) fn of_driver(&self, dialect: Dialect) -> String {
        let has_root = self.certificates.iter().any(|(name, _)| is_root(name));
        // A root certificate implies verification. PostgreSQL's own client verifies with `require` as well.
        let mode = match (dialect, self.tls_mode) {
            (Dialect::Postgres, None | Some("require")) if has_root => Some("verify-ca"),
            (Dialect::MySql, None) if has_root => Some("VERIFY_CA"),
            (_, mode) => mode,
        };
        let mode_name = match dialect {
            Dialect::Postgres => "sslmode",
            Dialect::MySql => "ssl-mode",
        };
        let all = self.driver.iter().chain(&self.certificates);
        let pairs = mode.map(|mode| (mode_name, mode)).into_iter();
        let pairs = pairs.chain(all.map(|(name, value)| (*name, value.as_str())));
        let texts = pairs.map(|(name, value)| format!("{name}={}", encoded(value.as_bytes())));
        texts.collect::<Vec<_>>().join("&")
    }

    /// Whether an option names the server's host or socket.
    pub(super) fn names_host(&self) -> bool {
        let is_host = |name: &str| matches!(name, "host" | "hostaddr" | "socket");
        self.driver.iter().any(|(name, _)| is_host(name))
    }

    /// Adds an option that only the driver reads.
    pub(super) fn push(&mut self, name: &'static str, value: String) {
        self.driver.push((name, value));
    }

    /// The files of keys and certificates, each with the name of its option.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        self.certificates.iter().map(|(name, path)| (*name, path.into()))
    }

    /// Applies an option of the store's own, also by another accepted name; returns whether it is one.
    fn take_own(&mut self, name: &str, value: &str) -> Result<bool, SqlStoreError> {
        let number = |reason| value.parse::<u32>().map_err(|_| SqlStoreError::Url(reason));
        let timeout = |reason| {
            let timeout = Duration::from_millis(number(reason)?.into());
            check_timeout(timeout).map_err(|_| SqlStoreError::Url(reason))
        };
        match name {
            "table" => self.table = Some(check_table(value)?),
            "max_connections" | "connection_limit" | "connectionLimit" => {
                let reason = "has a max_connections (connection_limit) that is not 1 to 1000";
                let connections = number(reason)?;
                if !(1..=MAXIMUM_CONNECTIONS).contains(&connections) {
                    return Err(SqlStoreError::Url(reason));
                }
                self.max_connections = Some(connections);
            }
            "acquire_timeout_ms" => {
                self.acquire_timeout = Some(timeout("has an acquire_timeout_ms that is not 100 to 60000")?);
            }
            // In seconds. 0 means without limit, which becomes the longest time-out.
            "connect_timeout" | "pool_timeout" => {
                let seconds = number("has a connect_timeout that is not a number of seconds")?;
                let timeout = Duration::from_secs(seconds.into());
                self.connect_timeout = Some(match timeout {
                    Duration::ZERO => MAXIMUM_TIMEOUT,
                    timeout => timeout.min(MAXIMUM_TIMEOUT),
                });
            }
            "statement_timeout_ms" => {
                self.statement_timeout =
                    Some(timeout("has a statement_timeout_ms that is not 100 to 60000")?);
            }
            "sweep_interval_s" => {
                let seconds = number("has a sweep_interval_s that is not a number")?;
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

    fn take_postgres(&mut self, name: &str, value: String) -> Result<bool, SqlStoreError> {
        let lower = value.to_ascii_lowercase();
        match name {
            "pooler" => {
                self.way = one_of(
                    "pooler",
                    &value,
                    "must be transaction or none",
                    |value| match value {
                        "transaction" => Some(Way::Pooler),
                        "none" => Some(Way::Direct),
                        _ => None,
                    },
                )?;
            }
            // The name in Prisma and Supabase.
            "pgbouncer" => {
                let is_pooled = one_of("pgbouncer", &value, "must be true or false", truth)?;
                self.way = if is_pooled { Way::Pooler } else { Way::Direct };
            }
            "direct" => self.direct = Some(value),
            "schema" | "search_path" | "currentSchema" => self.schema = Some(check_schema(&value)?),
            "sslmode" | "ssl-mode" => {
                const MODES: [&str; 6] = [
                    "disable",
                    "allow",
                    "prefer",
                    "require",
                    "verify-ca",
                    "verify-full",
                ];
                let reason = "must be disable, allow, prefer, require, verify-ca or verify-full";
                self.tls_mode = Some(one_of("sslmode", &value, reason, |value| {
                    MODES.into_iter().find(|mode| *mode == value)
                })?);
            }
            "ssl" => {
                let is_on = one_of("ssl", &value, "must be true or false", truth)?;
                self.tls_mode = Some(if is_on { "require" } else { "disable" });
            }
            "sslaccept" => {
                self.tls_mode = Some(accepted(&value, "verify-full", "require")?);
            }
            // The roots that come with the program; they need the verification of the server's name.
            "sslrootcert" if value == "system" => self.tls_mode = Some("verify-full"),
            "sslrootcert" => self.certificates.push(("sslrootcert", value)),
            "sslcert" => self.certificates.push(("sslcert", value)),
            "sslkey" => self.certificates.push(("sslkey", value)),
            "host" => self.push("host", value.trim_matches(['[', ']']).to_owned()),
            "hostaddr" => self.push("hostaddr", value),
            "port" => self.push("port", value),
            "dbname" => self.push("dbname", value),
            "user" => self.push("user", value),
            "password" => self.push("password", value),
            "application_name" | "fallback_application_name" | "ApplicationName" => {
                self.push("application_name", value);
            }
            "options" => {
                self.session_options = Some(value.clone());
                self.push("options", value);
            }
            "channel_binding" => one_of(
                "channel_binding",
                &value,
                "cannot be required, because the client does not support it: remove it and add sslmode=verify-full",
                |value| matches!(value, "prefer" | "disable").then_some(()),
            )?,
            // The opening of the store checks whether the server accepts writes.
            "target_session_attrs" => one_of(
                "target_session_attrs",
                &value,
                "must be any, primary or read-write, because a store writes",
                |value| matches!(value, "any" | "primary" | "read-write").then_some(()),
            )?,
            "gssencmode" => one_of("gssencmode", &value, "cannot be required", |value| {
                matches!(value, "prefer" | "disable").then_some(())
            })?,
            "client_encoding" | "charset" => one_of("client_encoding", &lower, "must be UTF8", |value| {
                matches!(value, "utf8" | "utf-8" | "unicode" | "auto").then_some(())
            })?,
            "sslnegotiation" => one_of("sslnegotiation", &value, "must be postgres", |value| {
                (value == "postgres").then_some(())
            })?,
            "sslcompression" => one_of("sslcompression", &value, "must be 0", |value| {
                (value == "0").then_some(())
            })?,
            "sslsni" => one_of("sslsni", &value, "must be 1", |value| {
                (value == "1").then_some(())
            })?,
            "load_balance_hosts" => one_of(
                "load_balance_hosts",
                &value,
                "must be disable, because there is one host",
                |value| (value == "disable").then_some(()),
            )?,
            // The client supports 1.2 and 1.3.
            "ssl_min_protocol_version" => {
                one_of(
                    "ssl_min_protocol_version",
                    &lower,
                    "must be at most TLSv1.2",
                    |value| matches!(value, "tlsv1" | "tlsv1.1" | "tlsv1.2").then_some(()),
                )?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_mysql(&mut self, name: &str, value: String) -> Result<bool, SqlStoreError> {
        let lower = value.to_ascii_lowercase();
        match name {
            "ssl-mode" | "ssl_mode" | "sslmode" | "sslMode" => {
                let reason = "must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
                self.tls_mode = Some(one_of("ssl-mode", &lower, reason, |value| match value {
                    "disabled" => Some("DISABLED"),
                    "preferred" => Some("PREFERRED"),
                    "required" => Some("REQUIRED"),
                    "verify_ca" => Some("VERIFY_CA"),
                    "verify_identity" => Some("VERIFY_IDENTITY"),
                    _ => None,
                })?);
            }
            // The names in JDBC, node and PlanetScale.
            "ssl" | "useSSL" | "requireSSL" => {
                let reason = "must be true, false or {\"rejectUnauthorized\":true}";
                self.tls_mode = Some(one_of(
                    "ssl",
                    &lower.replace(' ', ""),
                    reason,
                    |value| match value {
                        "true" | "1" => Some("REQUIRED"),
                        "false" | "0" => Some("DISABLED"),
                        "{\"rejectunauthorized\":true}" => Some("VERIFY_IDENTITY"),
                        _ => None,
                    },
                )?);
            }
            // The name in Go's client.
            "tls" => {
                let reason = "must be true, false, preferred or skip-verify";
                self.tls_mode = Some(one_of("tls", &lower, reason, |value| match value {
                    "true" => Some("VERIFY_IDENTITY"),
                    "false" => Some("DISABLED"),
                    "preferred" => Some("PREFERRED"),
                    "skip-verify" => Some("REQUIRED"),
                    _ => None,
                })?);
            }
            "sslaccept" => self.tls_mode = Some(accepted(&value, "VERIFY_IDENTITY", "REQUIRED")?),
            "ssl-ca" | "ssl_ca" | "sslca" => self.certificates.push(("ssl-ca", value)),
            "ssl-cert" | "ssl_cert" | "sslcert" => self.certificates.push(("ssl-cert", value)),
            "ssl-key" | "ssl_key" | "sslkey" => self.certificates.push(("ssl-key", value)),
            "socket" | "unix_socket" => self.push("socket", value),
            // Sessions may contain text in any language.
            "charset" | "characterEncoding" => {
                one_of("charset", &lower, "must be utf8mb4", |value| {
                    matches!(value, "utf8mb4" | "utf8" | "utf-8").then_some(())
                })?;
            }
            "pooler" | "pgbouncer" | "direct" | "schema" | "search_path" => {
                let names = ["pooler", "pgbouncer", "direct", "schema", "search_path"];
                let name = names.into_iter().find(|known| *known == name).unwrap_or("pooler");
                return Err(refused(name, "is only for PostgreSQL"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn refused(name: &'static str, reason: &'static str) -> SqlStoreError {
    SqlStoreError::Option { name, reason }
}

/// Reads a value that has to be one of a few.
fn one_of<T>(
    name: &'static str,
    value: &str,
    reason: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, SqlStoreError> {
    read(value).ok_or(SqlStoreError::Option { name, reason })
}

fn truth(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Reads Prisma's option `sslaccept`.
fn accepted(value: &str, strict: &'static str, lax: &'static str) -> Result<&'static str, SqlStoreError> {
    one_of(
        "sslaccept",
        value,
        "must be strict or accept_invalid_certs",
        |value| match value {
            "strict" => Some(strict),
            "accept_invalid_certs" => Some(lax),
            _ => None,
        },
    )
}

fn is_root(name: &str) -> bool {
    matches!(name, "sslrootcert" | "ssl-ca")
}

/// Checks a time-out: a shorter one would expire in normal operation, and a longer one would block callers too long.
pub(super) fn check_timeout(timeout: Duration) -> Result<Duration, SqlStoreError> {
    if (Duration::from_millis(100)..=MAXIMUM_TIMEOUT).contains(&timeout) {
        return Ok(timeout);
    }
    Err(SqlStoreError::Url("has a time-out that is not 100 ms to 60 s"))
}

pub(super) fn check_table(name: &str) -> Result<String, SqlStoreError> {
    match is_name(name, MAXIMUM_NAME_BYTES) {
        true => Ok(name.to_owned()),
        false => Err(SqlStoreError::TableName),
    }
}

fn check_schema(name: &str) -> Result<String, SqlStoreError> {
    match is_name(name, MAXIMUM_SCHEMA_BYTES) {
        true => Ok(name.to_owned()),
        false => Err(refused(
            "schema",
            "must be one name of 1 to 63 letters, digits and underscores, a letter or underscore first",
        )),
    }
}

fn is_name(name: &str, maximum_bytes: usize) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let begins = name.bytes().next().is_some_and(is_letter);
    let goes_on = name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit());
    begins && goes_on && name.len() <= maximum_bytes
}
