//! The URL of a Redis store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::malformed::MalformedUrl;
use crate::percent::decoded;

/// The schemes, each with its kind and whether it uses TLS.
const SCHEMES: [(&str, Kind, bool); 6] = [
    ("redis", Kind::Single, false),
    ("rediss", Kind::Single, true),
    ("redis+cluster", Kind::Cluster, false),
    ("rediss+cluster", Kind::Cluster, true),
    ("redis+sentinel", Kind::Sentinel, false),
    ("rediss+sentinel", Kind::Sentinel, true),
];
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// The maximum number of hosts: more than any set-up lists, and few enough to contact one after the other.
const MAXIMUM_HOSTS: usize = 64;
const MAXIMUM_BYTES: usize = 4096;
/// The default prefix of every key.
pub(super) const PREFIX: &str = "tessera:";
const MAXIMUM_PREFIX_BYTES: usize = 128;

/// The URL of a Redis store.
///
/// | URL | meaning |
/// |---|---|
/// | `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]` | one server, without failover |
/// | `redis+cluster://[USER[:PASSWORD]@]HOST[:PORT],…` | a Cluster, by some of its nodes |
/// | `redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT],…/MASTER[/DB]` | the master of this name, by its Sentinels |
/// | `rediss://`, `rediss+cluster://`, `rediss+sentinel://` | the same over TLS, also to the Sentinels |
///
/// `:PASSWORD@` is a password without a user. Options follow a `?`, separated by `&`:
///
/// | option | meaning |
/// |---|---|
/// | `prefix=TEXT` | prefix of every key, at most 128 bytes; default `tessera:` |
/// | `db=N` | number of the database, as `/DB` |
/// | `timeout_ms=N`, `connect_timeout_ms=N` | [`timeout`](super::RedisStoreBuilder::timeout) and [`connect_timeout`](super::RedisStoreBuilder::connect_timeout), 1 to 600 000 |
/// | `check_eviction=no` | opens the store without the check whether Redis evicts sessions, for example if `INFO` is forbidden; see [`check_eviction`](super::RedisStoreBuilder::check_eviction) |
/// | `ca=PATH` | PEM file with the CA certificates for the servers, instead of the system's |
/// | `sentinel_user=`, `sentinel_password=` | credentials for the Sentinels, which do not receive those of the servers |
///
/// Cluster nodes and Sentinels name a server by the address that it announces, so its certificate must be valid for that
/// address.
///
/// User, password, master and options are percent-encoded: `:` is `%3A`, `@` is `%40`, `/` is `%2F`, `%` is `%25`.
///
/// `Display` and `Debug` show neither user nor password, and a parsing error shows no part of the text.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    /// At least one; exactly one for [`Kind::Single`].
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) login: Login,
    /// The credentials for the Sentinels.
    pub(super) sentinel_login: Login,
    /// The name of the master; empty unless [`Kind::Sentinel`].
    pub(super) master: String,
    pub(super) database: u32,
    pub(super) prefix: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) check_eviction: Option<bool>,
    pub(super) ca: Option<PathBuf>,
}

/// The kind of server that a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    Cluster,
    Sentinel,
}

/// The credentials for a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl FromStr for RedisUrl {
    type Err = MalformedUrl;

    fn from_str(url: &str) -> Result<Self, MalformedUrl> {
        let (scheme, rest) = url.split_once(':').unwrap_or(("", ""));
        Self::parse(scheme, rest).unwrap_or(Err(MalformedUrl {
            scheme: "redis",
            reason: "must begin with redis://, redis+cluster:// or redis+sentinel://, or with rediss for TLS",
        }))
    }
}

impl RedisUrl {
    /// Parses a URL from its scheme and the text after the colon; `None` if the scheme is not one of Redis.
    pub(crate) fn parse(scheme: &str, rest: &str) -> Option<Result<Self, MalformedUrl>> {
        let (scheme, kind, tls) = SCHEMES.into_iter().find(|(name, ..)| *name == scheme)?;
        let malformed = |reason| MalformedUrl { scheme, reason };
        Some(Self::read(kind, tls, rest).map_err(malformed))
    }

    fn read(kind: Kind, tls: bool, rest: &str) -> Result<Self, &'static str> {
        if rest.len() > MAXIMUM_BYTES {
            return Err("is longer than 4096 bytes");
        }
        let rest = rest.strip_prefix("//").ok_or("needs // and a host")?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        // The first `/` ends the hosts, so one in a password has to be encoded.
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (login_of(login)?, hosts),
            None => (Login::default(), authority),
        };
        let mut url = Self {
            kind,
            tls,
            hosts: hosts_of(kind, hosts)?,
            login,
            sentinel_login: Login::default(),
            master: String::new(),
            database: 0,
            prefix: None,
            timeout: None,
            connect_timeout: None,
            check_eviction: None,
            ca: None,
        };
        url.read_path(path)?;
        for option in options.split('&').filter(|option| !option.is_empty()) {
            url.read_option(option)?;
        }
        url.check()
    }

    fn read_path(&mut self, path: &str) -> Result<(), &'static str> {
        let database = match self.kind {
            Kind::Single => path,
            Kind::Cluster if path.is_empty() => "",
            Kind::Cluster => return Err("has one database only: nothing may follow the hosts"),
            Kind::Sentinel => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                self.master = decoded(master)?;
                database
            }
        };
        if !database.is_empty() {
            self.database = database_of(database)?;
        }
        Ok(())
    }

    fn read_option(&mut self, option: &str) -> Result<(), &'static str> {
        let (name, value) = option
            .split_once('=')
            .ok_or("has an option without a value after the ?")?;
        let value = decoded(value)?;
        match name {
            "prefix" => self.prefix = Some(value),
            "db" => self.database = database_of(&value)?,
            "timeout_ms" => self.timeout = Some(duration_of(&value)?),
            "connect_timeout_ms" => self.connect_timeout = Some(duration_of(&value)?),
            "check_eviction" => {
                self.check_eviction = Some(match value.as_str() {
                    "yes" => true,
                    "no" => false,
                    _ => return Err("takes check_eviction=yes or check_eviction=no"),
                });
            }
            "ca" | "ssl_ca_certs" => self.ca = Some(value.into()),
            // Options of redis-py, accepted with the values that always apply here.
            "ssl_cert_reqs" if matches!(&*value, "required" | "CERT_REQUIRED") => {}
            "ssl_cert_reqs" => {
                return Err(
                    "has the option ssl_cert_reqs, which is always required: name the CA certificate with ca",
                );
            }
            "ssl_check_hostname" if value == "true" || value == "True" => {}
            "ssl_check_hostname" => return Err("has the option ssl_check_hostname, which is always true"),
            // The store chooses the protocol itself.
            "protocol" if value == "2" || value == "3" => {}
            "sentinel_user" => self.sentinel_login.user = Some(value),
            "sentinel_password" => self.sentinel_login.password = Some(value),
            _ => return Err(why_not(name)),
        }
        Ok(())
    }

    fn check(self) -> Result<Self, &'static str> {
        let is = |kind| self.kind == kind;
        if is(Kind::Sentinel) && self.master.is_empty() {
            return Err("needs the name of the master after the hosts, as in /mymaster");
        }
        if is(Kind::Cluster) && self.database != 0 {
            return Err("has one database only, number 0");
        }
        if self.ca.is_some() && !self.tls {
            return Err("takes ca= only over TLS: write rediss");
        }
        if self.sentinel_login != Login::default() && !is(Kind::Sentinel) {
            return Err("has no Sentinels to log in to");
        }
        let needs_password = |login: &Login| login.user.is_some() && login.password.is_none();
        if needs_password(&self.login) || needs_password(&self.sentinel_login) {
            return Err("names a user without a password");
        }
        if self
            .prefix
            .as_ref()
            .is_some_and(|prefix| prefix.len() > MAXIMUM_PREFIX_BYTES)
        {
            return Err("has a prefix of more than 128 bytes");
        }
        Ok(self)
    }

    fn scheme(&self) -> &'static str {
        SCHEMES
            .into_iter()
            .find(|(_, kind, tls)| (*kind, *tls) == (self.kind, self.tls))
            .map_or("redis", |(name, ..)| name)
    }
}

impl RedisUrl {
    /// The address, the database and the prefix, without user and password.
    pub(crate) fn identity(&self) -> String {
        let prefix = self.prefix.as_deref().unwrap_or(PREFIX);
        format!("{self}?db={}&prefix={prefix:?}", self.database)
    }
}

/// Shows the URL without user, password and options.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme())?;
        for (n, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        if self.kind == Kind::Sentinel {
            write!(f, "/{}", self.master)?;
        }
        if self.database != 0 {
            write!(f, "/{}", self.database)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisUrl").field(&format_args!("{self}")).finish()
    }
}

/// Why an option is refused. Only the name of another client's option is quoted, because any other name may be a part of a
/// password.
fn why_not(name: &str) -> &'static str {
    match name {
        "ssl" | "tls" => "has an option for TLS: write rediss:// instead",
        "skip_verify" | "tls_insecure" => "has the option skip_verify: certificates are always verified",
        "timeout" | "socket_timeout" | "read_timeout" | "write_timeout" => {
            "has another client's option for a time-out: write timeout_ms instead"
        }
        "socket_connect_timeout" | "connect_timeout" | "dial_timeout" => {
            "has another client's option for a time-out: write connect_timeout_ms instead"
        }
        "username" | "user" => {
            "has the option user: write it before the host, as in redis://USER:PASSWORD@HOST"
        }
        "password" => "has the option password: write it before the host, as in redis://:PASSWORD@HOST",
        "sentinelMasterId" | "master_name" | "master" => {
            "has the option master: write its name after the hosts of redis+sentinel://, as in /mymaster"
        }
        "client_name" | "clientName" => "has the option client_name, which is not supported: remove it",
        "family" => "has the option family, which is not supported: remove it",
        "decode_responses" => "has the option decode_responses, which is not supported: remove it",
        "health_check_interval" => "has the option health_check_interval, which is not supported: remove it",
        "max_connections" | "pool_size" => {
            "has the option max_connections: there is one connection to each server"
        }
        "protocol" => "has a protocol that is not 2 or 3",
        "retry_on_timeout" => "has the option retry_on_timeout, which is not supported: remove it",
        "ssl_certfile" | "ssl_keyfile" => {
            "has the option ssl_certfile or ssl_keyfile: client certificates are not supported"
        }
        _ => "has an unknown option after the ?",
    }
}

fn login_of(text: &str) -> Result<Login, &'static str> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password)?)),
        None => (text, None),
    };
    let user = decoded(user)?;
    Ok(Login {
        user: (!user.is_empty()).then_some(user),
        password: password.filter(|password| !password.is_empty()),
    })
}

fn hosts_of(kind: Kind, text: &str) -> Result<Vec<(String, u16)>, &'static str> {
    let port = if kind == Kind::Sentinel {
        SENTINEL_PORT
    } else {
        REDIS_PORT
    };
    let hosts: Vec<_> = text
        .split(',')
        .map(|host| host_of(host, port))
        .collect::<Result<_, _>>()?;
    if hosts.len() > MAXIMUM_HOSTS {
        return Err("has more than 64 hosts");
    }
    if kind == Kind::Single && hosts.len() > 1 {
        return Err("takes one host: for several write redis+cluster or redis+sentinel");
    }
    Ok(hosts)
}

fn host_of(text: &str, default_port: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        // An IPv6 address.
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("has a [ without a ]")?;
            match rest {
                "" => (host, None),
                rest => (host, Some(rest.strip_prefix(':').ok_or("has no port after a ]")?)),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err("needs a host after the //; percent-encode special characters in a password");
    }
    let port = match port {
        None => default_port,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or("has an invalid port")?,
    };
    Ok((host.to_owned(), port))
}

fn database_of(text: &str) -> Result<u32, &'static str> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.ok_or("has a database that is not a number")
}

fn duration_of(text: &str) -> Result<Duration, &'static str> {
    let millis = text.parse().ok().filter(|millis| (1..=600_000).contains(millis));
    millis
        .map(Duration::from_millis)
        .ok_or("has a time-out that is not 1 to 600000 milliseconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RedisUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_url_says_where_redis_is_and_who_one_is_there() {
        let single = url("redis://h");
        assert_eq!((single.kind, single.tls), (Kind::Single, false));
        assert_eq!(single.hosts, [("h".to_owned(), 6379)]);
        assert!(single.login == Login::default());

        let all =
            url("rediss://me:p%40ss%2F%3a%25@h:1/3?prefix=a%3A&timeout_ms=5&connect_timeout_ms=6&ca=/x.pem");
        assert_eq!((all.kind, all.tls, all.database), (Kind::Single, true, 3));
        assert_eq!(all.login.user.as_deref(), Some("me"));
        assert_eq!(all.login.password.as_deref(), Some("p@ss/:%"));
        assert_eq!(all.prefix.as_deref(), Some("a:"));
        assert_eq!(all.timeout, Some(Duration::from_millis(5)));
        assert_eq!(all.connect_timeout, Some(Duration::from_millis(6)));
        assert_eq!(all.ca, Some("/x.pem".into()));

        let cluster = url("redis+cluster://:secret@a,b:2,[::1]:3");
        let hosts = [("a".to_owned(), 6379), ("b".to_owned(), 2), ("::1".to_owned(), 3)];
        assert_eq!(cluster.hosts, hosts);
        assert_eq!(cluster.login.user, None);
        assert_eq!(cluster.login.password.as_deref(), Some("secret"));

        let sentinel = url("redis+sentinel://a,b/my%20master?db=2&sentinel_password=x");
        assert_eq!(sentinel.hosts[1], ("b".to_owned(), 26379));
        assert_eq!((sentinel.master.as_str(), sentinel.database), ("my master", 2));
        assert_eq!(sentinel.sentinel_login.password.as_deref(), Some("x"));
        assert_eq!(url("redis+sentinel://a/m/2").database, 2);
    }

    #[test]
    fn what_is_wrong_is_said_without_any_of_the_text() {
        for text in [
            "redis:h",
            "redis:/h",
            "redis://",
            "redis://:s3cret@",
            "redis://u:s3cret@h:port",
            "redis://u:s3cret@h:0",
            "redis://u:s3cret/x@h",
            "redis://u:s3cret%4@h",
            "redis://u:s3cret%ff@h",
            "redis://u@h",
            "redis://a,b",
            "redis://h/s3cret",
            "redis://h/-1",
            "redis://h/+1",
            "redis://h?s3cret",
            "redis://h?s3cret=1",
            "redis://h?timeout_ms=0",
            "redis://h?ca=s3cret",
            "redis://h?sentinel_user=a",
            "redis://[::1",
            "redis://[::1]x",
            "redis+cluster://h/1",
            "redis+cluster://h?db=1",
            "redis+sentinel://h",
            "redis+sentinel://h/?sentinel_user=s3cret",
        ] {
            match text.parse::<RedisUrl>() {
                Err(error) => {
                    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
                }
                Ok(url) => panic!("{text}: {url:?}"),
            }
        }
        let long = format!("redis://{}", "h".repeat(5000));
        assert!(long.parse::<RedisUrl>().is_err());
        assert!(
            format!("redis://{}", ["h"; 65].join(","))
                .parse::<RedisUrl>()
                .is_err()
        );
    }

    #[test]
    fn options_of_other_clients_are_taken_or_refused_by_name() {
        let taken =
            url("rediss://h?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem&ssl_check_hostname=true&protocol=3");
        assert_eq!(taken.ca, Some("/ca.pem".into()));
        for (option, named) in [
            ("ssl_cert_reqs=none", "ssl_cert_reqs"),
            ("ssl_check_hostname=false", "ssl_check_hostname"),
            ("skip_verify=true", "skip_verify"),
            ("ssl=true", "rediss"),
            ("socket_timeout=5", "timeout_ms"),
            ("dial_timeout=5s", "connect_timeout_ms"),
            ("password=s3cret", "password"),
            ("family=0", "family"),
            ("protocol=4", "protocol"),
        ] {
            let refused = format!("rediss://h?{option}").parse::<RedisUrl>();
            let error = refused.expect_err(option).to_string();
            assert!(error.contains(named) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn neither_display_nor_debug_shows_a_user_or_a_password() {
        let text = "redis+sentinel://user:s3cret@a:1,[::1]:2/m/4?sentinel_user=user&sentinel_password=s3cret";
        let url = url(text);
        assert_eq!(url.to_string(), "redis+sentinel://a:1,[::1]:2/m/4");
        let debug = format!("{url:?}");
        assert!(!debug.contains("user") && !debug.contains("s3cret"), "{debug}");
    }
}
