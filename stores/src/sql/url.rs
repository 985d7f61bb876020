//! The URL of a database: its address, the credentials, and the store's settings.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use sqlx::ConnectOptions as _;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::SqlStoreError;
use super::dialect::{Dialect, TABLE};
use super::driver::Target;
use super::options::Given;
use super::session::Way;
use crate::percent::decoded;

/// The maximum length of a URL, including the URL of the server behind a pooler within it.
const MAXIMUM_BYTES: usize = 8192;

/// The URL of a database: `postgres://`, `postgresql://`, `mysql://` or `mariadb://`.
///
/// `Debug` and `Display` show neither user nor password.
#[derive(Clone)]
pub struct SqlUrl {
    /// The original text, which contains the password; only for comparison.
    text: String,
    pub(super) target: Target,
    /// The server itself, for notifications, which a pooler does not pass on.
    pub(super) direct: Option<Target>,
    pub(super) settings: Given,
}

impl SqlUrl {
    /// Whether this is the scheme of a database.
    pub(crate) fn is_scheme(scheme: &str) -> bool {
        dialect(scheme).is_some()
    }

    /// The address, the database and the table, without user and password.
    pub(crate) fn identity(&self) -> String {
        let Given {
            table,
            schema,
            session_options,
            ..
        } = &self.settings;
        let table = table.as_deref().unwrap_or(TABLE);
        // The schema may also be a setting of the user; tables of the same name that differ only in that are not distinguished.
        let schema = schema.as_deref().unwrap_or_default();
        let options = session_options.as_deref().unwrap_or_default();
        let place = self.to_string();
        let place = place.split_once('?').map_or(place.as_str(), |(place, _)| place);
        format!("{place}?table={table}&schema={schema}&options={options}")
    }

    /// The server to listen at for notifications of writes. It is not a pooler, because a session listens.
    pub(super) fn listens_at(&self) -> Option<&PgConnectOptions> {
        match self.direct.as_ref().unwrap_or(&self.target) {
            Target::Postgres(options, Way::Direct) => Some(options),
            _ => None,
        }
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
        if text.len() > MAXIMUM_BYTES {
            return Err(url("is longer than 8192 bytes"));
        }
        let (scheme, rest) = text.split_once("://").ok_or(url("has no `://`"))?;
        let dialect = dialect(scheme).ok_or(url("is not one of PostgreSQL or MySQL"))?;
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        // After one of these characters in a password, the rest would be taken for a host or a database.
        let path = place.split_once('/').map_or("", |(_, path)| path);
        if path.contains(['@', '/', ':']) || text.contains('#') {
            return Err(url(
                "is not well-formed: in user and password, write / ? # @ : % as %2F %3F %23 %40 %3A %25",
            ));
        }
        let mut settings = Given::default();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            settings.take(dialect, name, decoded(value).map_err(url)?)?;
        }
        settings.check()?;
        let place = Place::read(place, &mut settings)?;
        let direct = settings.direct.as_deref().map(direct).transpose()?;
        Ok(Self {
            target: place.target(dialect, &settings)?,
            text: text.to_owned(),
            direct,
            settings,
        })
    }
}

/// Reads the URL of the server behind the pooler.
fn direct(text: &str) -> Result<Target, SqlStoreError> {
    let refused = |reason| SqlStoreError::Option {
        name: "direct",
        reason,
    };
    // Its errors are those of a URL of its own, because an operator tries it out by itself.
    let url: SqlUrl = text.parse()?;
    match url.target {
        target @ Target::Postgres(_, Way::Direct) => Ok(target),
        _ => Err(refused("has to be the URL of PostgreSQL without a pooler")),
    }
}

/// User, password, host, port and database, in the form that the driver's parser accepts.
struct Place {
    text: String,
    /// The IPv6 address of the host. The driver's parser keeps its brackets, and would look up a host of that name.
    address: Option<Ipv6Addr>,
}

impl Place {
    fn read(place: &str, settings: &mut Given) -> Result<Self, SqlStoreError> {
        let url = |reason| Err(SqlStoreError::Url(reason));
        let (authority, path) = match place.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (place, String::new()),
        };
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (format!("{login}@"), host),
            None => (String::new(), authority),
        };
        if host.contains(',') {
            return url("names several hosts: name only the primary");
        }
        let mut address: Option<Ipv6Addr> = None;
        if let Some(rest) = host.strip_prefix('[') {
            let inner = rest.split_once(']').and_then(|(inner, _)| inner.parse().ok());
            address = inner;
            if inner.is_none() {
                return url("has brackets without an IPv6 address");
            }
        } else if host.matches(':').count() > 1 {
            return url("has an IPv6 address without brackets: write [ADDRESS]:PORT");
        }
        // `user@/database?host=/directory`, as for a socket: the driver's parser needs a host nevertheless.
        let host = match (host, settings.names_host()) {
            ("", true) => "localhost",
            (host, _) => host,
        };
        if let Some(address) = address.filter(|_| !settings.names_host()) {
            settings.push("host", address.to_string());
        }
        Ok(Self {
            text: format!("{login}{host}{path}"),
            address,
        })
    }

    fn target(&self, dialect: Dialect, settings: &Given) -> Result<Target, SqlStoreError> {
        let text = format!(
            "{}://{}?{}",
            dialect.scheme(),
            self.text,
            settings.of_driver(dialect)
        );
        // The driver's message may quote the URL.
        let refused = |_| SqlStoreError::Url("is not well-formed, or an option has an invalid value");
        Ok(match dialect {
            Dialect::Postgres => {
                let options = text.parse::<PgConnectOptions>().map_err(refused)?;
                Target::Postgres(Box::new(options.disable_statement_logging()), settings.way)
            }
            Dialect::MySql => {
                let mut options = text.parse::<MySqlConnectOptions>().map_err(refused)?;
                if let Some(address) = self.address {
                    options = options.host(&address.to_string());
                }
                // The dialect's own statements set these.
                let options = options.pipes_as_concat(false).no_engine_substitution(false);
                Target::MySql(Box::new(options.timezone(None).disable_statement_logging()))
            }
        })
    }
}

impl PartialEq for SqlUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SqlUrl {}

/// Shows scheme, host, port and database, and the table if the URL names one.
impl fmt::Display for SqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port, database) = match &self.target {
            Target::Postgres(options, _) => (options.get_host(), options.get_port(), options.get_database()),
            Target::MySql(options) => (options.get_host(), options.get_port(), options.get_database()),
        };
        write!(f, "{}://", self.scheme())?;
        match host.contains(':') {
            true => write!(f, "[{host}]")?,
            false => f.write_str(host)?,
        }
        write!(f, ":{port}/{}", database.unwrap_or_default())?;
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
    use std::time::Duration;

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
            "postgres://u:s3cr?et@h/d",
            "postgres://h/d?user=s3cret%4",
            "postgres://h/d?port=s3cret",
            "postgres://h1,s3cret/d",
            "postgres://[s3cret]/d",
            "postgres://[::1/d",
            "postgres://::1/d",
            "mysql://[s3cret]:3306/d",
        ] {
            let error = text.parse::<SqlUrl>().expect_err(text);
            assert!(
                matches!(error, SqlStoreError::Url(_) | SqlStoreError::Option { .. }),
                "{text}: {error}"
            );
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    fn url(text: &str) -> SqlUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn postgres(text: &str) -> (PgConnectOptions, Given) {
        let url = url(text);
        match url.target {
            Target::Postgres(options, _) => (*options, url.settings),
            Target::MySql(_) => panic!("{text} is PostgreSQL's"),
        }
    }

    fn mysql(text: &str) -> MySqlConnectOptions {
        match url(text).target {
            Target::MySql(options) => *options,
            Target::Postgres(..) => panic!("{text} is MySQL's"),
        }
    }

    #[test]
    fn an_ipv6_address_loses_its_brackets_for_the_driver_and_has_them_when_shown() {
        for scheme in ["postgres", "mysql"] {
            let url = url(&format!("{scheme}://u:p@[2001:db8::7]:5433/app"));
            let (host, port) = match &url.target {
                Target::Postgres(options, _) => (options.get_host(), options.get_port()),
                Target::MySql(options) => (options.get_host(), options.get_port()),
            };
            assert_eq!((host, port), ("2001:db8::7", 5433));
            assert_eq!(url.to_string(), format!("{scheme}://[2001:db8::7]:5433/app"));
        }
    }

    /// URLs in the form that providers print.
    #[test]
    fn the_urls_of_managed_databases_are_taken() {
        use sqlx::mysql::MySqlSslMode;
        use sqlx::postgres::PgSslMode;
        let (neon, _) = postgres(
            "postgresql://u:p@ep-a-1.eu.aws.neon.tech/neondb?sslmode=require&channel_binding=prefer",
        );
        assert!(matches!(neon.get_ssl_mode(), PgSslMode::Require));
        let (_, supabase) = postgres(
            "postgresql://postgres.ref:p@aws-0-eu.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=3&pool_timeout=20",
        );
        assert_eq!((supabase.way, supabase.max_connections), (Way::Pooler, Some(3)));
        assert_eq!(supabase.acquire_timeout, Some(Duration::from_secs(20)));
        let (rds, _) =
            postgres("postgres://u:p@x.rds.amazonaws.com/d?sslmode=require&sslrootcert=/global-bundle.pem");
        assert!(matches!(rds.get_ssl_mode(), PgSslMode::VerifyCa));
        let (socket, _) = postgres("postgres://u:p@/d?host=/cloudsql/project:region:instance");
        assert_eq!(
            socket.get_socket(),
            Some(&std::path::PathBuf::from("/cloudsql/project:region:instance"))
        );
        let text = "postgres://u@h/d?connect_timeout=9&acquire_timeout_ms=700&application_name=a%20b+c&target_session_attrs=read-write\
                    &options=-c%20search_path%3Dapp&sslrootcert=system&gssencmode=disable&client_encoding=UTF8&port=6000";
        let (azure, given) = postgres(text);
        assert_eq!(azure.get_application_name(), Some("a b+c"));
        assert_eq!(azure.get_options(), Some("-c search_path=app"));
        assert_eq!(azure.get_port(), 6000);
        assert!(matches!(azure.get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(given.acquire_timeout, Some(Duration::from_millis(700)));
        for name in ["schema", "search_path", "currentSchema"] {
            let (_, given) = postgres(&format!("postgres://h/d?{name}=app"));
            assert_eq!(given.schema.as_deref(), Some("app"));
        }

        let digital_ocean = mysql("mysql://u:p@h.db.ondigitalocean.com:25060/d?ssl-mode=REQUIRED");
        assert!(matches!(digital_ocean.get_ssl_mode(), MySqlSslMode::Required));
        for planet_scale in [
            "sslaccept=strict",
            "ssl={%22rejectUnauthorized%22:true}",
            "tls=true",
        ] {
            let options = mysql(&format!("mysql://u:p@aws.connect.psdb.cloud/d?{planet_scale}"));
            assert!(matches!(options.get_ssl_mode(), MySqlSslMode::VerifyIdentity));
        }
        let options = mysql("mysql://u:p@h/d?ssl_ca=/ca.pem&charset=utf8mb4&connect_timeout=5");
        assert!(matches!(options.get_ssl_mode(), MySqlSslMode::VerifyCa));
        assert_eq!(options.get_charset(), "utf8mb4");
        let options = mysql("mysql://u:p@/d?unix_socket=/cloudsql/instance");
        assert_eq!(
            options
                .get_socket()
                .map(|path| path.display().to_string())
                .as_deref(),
            Some("/cloudsql/instance")
        );
    }

    #[test]
    fn an_option_that_cannot_be_honoured_is_refused_by_its_name() {
        for (text, named) in [
            ("postgres://h/d?channel_binding=require", "channel_binding"),
            ("postgres://h/d?sslmode=verify_full", "sslmode"),
            (
                "postgres://h/d?target_session_attrs=standby",
                "target_session_attrs",
            ),
            ("postgres://h/d?client_encoding=latin1", "client_encoding"),
            ("postgres://h/d?gssencmode=require", "gssencmode"),
            (
                "postgres://h/d?ssl_min_protocol_version=TLSv1.3",
                "ssl_min_protocol_version",
            ),
            ("postgres://h/d?keepalives_idle=5", "keepalives_idle"),
            ("postgres://h/d?statement_timeout=5", "statement_timeout"),
            ("postgres://h/d?schema=a,b", "schema"),
            ("postgres://h/d?pooler=session", "pooler"),
            ("postgres://h/d?pooler=transaction&options=-c%20a%3Db", "options"),
            ("postgres://h/d?direct=postgres%3A%2F%2Fh%2Fd", "direct"),
            (
                "postgres://h/d?pooler=transaction&direct=mysql%3A%2F%2Fh%2Fd",
                "direct",
            ),
            ("mysql://h/d?ssl-mode=verify-full", "ssl-mode"),
            ("mysql://h/d?charset=latin1", "charset"),
            ("mysql://h/d?parseTime=true", "parseTime"),
            ("mysql://h/d?pooler=transaction", "pooler"),
            ("mysql://h/d?schema=s3cret", "schema"),
        ] {
            match text.parse::<SqlUrl>() {
                Err(SqlStoreError::Option { name, .. }) => assert_eq!(name, named, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_server_behind_a_pooler_listens_and_nobody_else_there() {
        let listens = |text: &str| url(text).listens_at().map(|options| options.get_port());
        assert_eq!(listens("postgres://h:1/d"), Some(1));
        assert_eq!(listens("postgres://h:1/d?pooler=transaction"), None);
        let both = "postgres://h:1/d?pooler=transaction&direct=postgres%3A%2F%2Fu%3As3cret%2540%40h%3A2%2Fd%3Fsslmode%3Drequire";
        assert_eq!(listens(both), Some(2));
        assert!(!format!("{} {:?}", url(both), url(both)).contains("s3cret"));
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
