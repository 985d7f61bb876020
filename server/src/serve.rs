//! `tessera serve`: reads the flags, opens the keys and the store, reports what it uses, and runs the service until it
//! stops.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use clap::{Args, ValueEnum};
use tessera::connections::Connections;
use tessera::store::{AnyMailbox, AnyStore, NoMailbox, PlainStore, StoreUrl};
use tessera::{Component, Sessions};
use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;

use crate::demo::DemoFlags;
use crate::failure::Failure;
use crate::key_ring::{KeyRing, KeySource};
use crate::limits::Limits;
use crate::output::{complain, say};
use crate::policy::{self, PlaceFlags, PolicyFlags, TokenFlags};
use crate::reload::{self, Hangups};
use crate::secrets::{self, Origin, SERVICE_KEY_VARIABLE};
use crate::service::{self, Service, ServiceFields};
use crate::store::{DataFlags, DurabilityFlag};
use crate::transports::TransportFlags;
use crate::{duration, files, server};

#[derive(Args)]
#[command(
    after_help = "The service key comes from TESSERA_SERVICE_KEY or its file, never from a flag, \
                        because every user of the machine can read flags."
)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 selects a free port
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8787",
        value_parser = server::parse_address,
        env = "TESSERA_LISTEN"
    )]
    listen: String,
    #[command(flatten)]
    data: DataFlags,
    /// The key file; created at the first start [default: <data>/keys.json]
    ///
    /// The variable TESSERA_KEYS may contain the keys instead, in the same form.
    #[arg(long, value_name = "PATH", env = "TESSERA_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// The file with the service key; created at the first start [default: <data>/service-key]
    ///
    /// The variable TESSERA_SERVICE_KEY may contain the key instead.
    #[arg(long, value_name = "PATH", env = "TESSERA_SERVICE_KEY_FILE")]
    service_key_file: Option<PathBuf>,
    /// How long requests may continue after the signal to stop
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        value_parser = duration::parse,
        env = "TESSERA_SHUTDOWN_TIMEOUT"
    )]
    shutdown_timeout: Duration,
    /// The level of the log, which is written to standard error
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        ignore_case = true,
        env = "TESSERA_LOG"
    )]
    log: Level,
    /// The failure that an acknowledged write to a SQLite file survives
    #[arg(
        long,
        value_name = "LOSS",
        ignore_case = true,
        default_value = "power-loss",
        env = "TESSERA_DURABILITY",
        help_heading = "Store"
    )]
    durability: DurabilityFlag,
    /// A field that proxies receive from `/auth` in a header, as in role=X-Role; may be given more than once
    #[arg(
        long = "auth-header",
        value_name = "FIELD=HEADER",
        value_parser = |text: &str| service::parse_header(text.trim()),
        value_delimiter = ',',
        env = "TESSERA_AUTH_HEADERS",
        help_heading = "Proxies"
    )]
    auth_headers: Vec<(String, HeaderName)>,
    /// A field that can be written only with the service key, like each field that proxies receive; may be given more than
    /// once
    #[arg(
        long = "protected-field",
        value_name = "NAME",
        value_parser = protected_field,
        value_delimiter = ',',
        env = "TESSERA_PROTECTED_FIELDS"
    )]
    protected_fields: Vec<String>,
    #[command(flatten)]
    transports: TransportFlags,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    demo: DemoFlags,
    #[command(flatten)]
    place: PlaceFlags,
    #[command(flatten)]
    policy: PolicyFlags,
    #[command(flatten)]
    tokens: TokenFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    /// Every request as well
    Debug,
    Trace,
}

/// The configuration that the service prints at its start.
struct Facts {
    store: String,
    keys: String,
    service_key: Origin,
}

/// The parts that exist before the service listens.
struct Prepared {
    service: Arc<Service>,
    sessions: Sessions,
    keys: (KeySource, KeyRing),
    facts: Facts,
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let _log = start_log(self.log);
        self.limits.raise_open_files();
        let (shutdown_timeout, listen, limits) = (self.shutdown_timeout, self.listen.clone(), self.limits);
        let (flags, policy) = (self.demo, self.policy.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::during("cannot start"))?;
        runtime.block_on(async {
            // Before anything that takes time, because until then SIGHUP ends the process.
            let hangups = Hangups::listen().map_err(Failure::during("cannot listen for signals"))?;
            let Prepared {
                service,
                sessions,
                keys,
                facts,
            } = self.prepare().await?;
            let signals = server::Signals::listen().map_err(Failure::during("cannot listen for signals"))?;
            let listener = TcpListener::bind(&listen).await;
            let listener = listener.map_err(Failure::during(format!("cannot listen on {listen}")))?;
            let address = listener
                .local_addr()
                .map_err(Failure::during("cannot determine the address"))?;
            let demo = flags.at(address, policy, &limits)?;
            // A closed standard output does not prevent the service from running.
            if let Err(error) = say(&introduction(&facts, address, demo.as_ref().map(|_| flags))) {
                complain(&format!("tessera: {error}"));
            }
            drop(facts);
            let (source, ring) = keys;
            tracing::info!("keys: {}: {}", source.name(), ring.describe());
            let watching = tokio::spawn(reload::watch(source, ring, sessions, hangups));
            let (pages, streams) =
                demo.map_or_else(Default::default, |demo| (demo.router, Some(demo.connections)));
            let end_pages = move || {
                if let Some(streams) = streams {
                    streams.shut_down();
                }
            };
            let ended = server::run(
                listener,
                service,
                pages,
                end_pages,
                signals,
                limits,
                shutdown_timeout,
            )
            .await;
            watching.abort();
            ended
        })
    }

    async fn prepare(self) -> Result<Prepared, Failure> {
        service::check_headers(&self.auth_headers).map_err(Failure::new)?;
        self.transports.check(&self.auth_headers)?;
        // Before anything is created.
        let url = self.data.url();
        let directory = self.data.directory();
        let source = KeySource::choose(self.key_file.clone(), directory)?;
        let service_key_file = self.service_key_file.clone();
        if self.key_file.is_none() || service_key_file.is_none() {
            files::make_directory(directory)?;
        }
        let service_key_file = service_key_file.unwrap_or_else(|| directory.join("service-key"));
        let (ring, made) = source.read_or_make()?;
        let (service_key, origin) = secrets::service_key(&service_key_file)?;
        let store = self.data.open_or_make(self.durability.into()).await?;

        let facts = Facts {
            store: describe_store(&url, &store, self.durability),
            keys: format!(
                "{} ({}{})",
                source.name(),
                ring.describe(),
                if made { ", created now" } else { "" }
            ),
            service_key: origin,
        };
        let builder = Sessions::builder();
        let builder = self.tokens.apply(self.place.apply(self.policy.apply(builder)?));
        let builder = ring
            .to_keys()
            .into_iter()
            .fold(builder, |builder, key| builder.key(key));
        let sessions = builder.build(store.clone()).map_err(policy::refused)?;
        let connections = connections(&sessions, &store, &url, &self.limits).await?;
        let service = Service::new(
            sessions.clone(),
            store,
            service_key,
            ServiceFields {
                for_proxies: self.auth_headers,
                protected: self.protected_fields,
            },
            self.limits,
            self.transports,
            connections,
        );
        Ok(Prepared {
            service: Arc::new(service),
            sessions,
            keys: (source, ring),
            facts,
        })
    }
}

/// Starts the connections of the service; `None` if the store has no mailboxes.
async fn connections(
    sessions: &Sessions,
    store: &AnyStore,
    url: &StoreUrl,
    limits: &Limits,
) -> Result<Option<Connections<AnyMailbox>>, Failure> {
    let mailboxes = match AnyMailbox::beside(store.plain(), url.plain()).await {
        Ok(mailboxes) => mailboxes,
        Err(error @ NoMailbox::Unsupported { .. }) => {
            tracing::info!("there are no connections: {error}");
            return Ok(None);
        }
        // A user without the right to create tables had a service without connections before an upgrade, and has it after.
        Err(error) if error.is_forbidden() => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "there are no connections: docs/connections.md names the rights that the user of the store needs"
            );
            return Ok(None);
        }
        Err(error) => return Err(Failure::during("cannot open the mailboxes of connections")(error)),
    };
    let builder = Connections::builder(sessions)
        .on_node(limits.maximum_streams())
        .longest_poll(limits.longest_poll());
    let connections = builder.build(mailboxes);
    connections
        .map(Some)
        .map_err(Failure::during("cannot start the connections"))
}

fn protected_field(text: &str) -> Result<String, String> {
    let field = text.trim();
    service::check_field(field)?;
    Ok(field.to_owned())
}

/// Starts the log, which a thread of its own writes.
///
/// Lines are lost while standard error accepts none, because a stalled reader must not stop the service.
/// Lines that are left are written when the guard is dropped.
fn start_log(level: Level) -> tracing_appender::non_blocking::WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let level = match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .with_ansi(false)
        // A line that cannot be written is lost. A report of the error would go to the same standard error, and panic
        // there.
        .log_internal_errors(false)
        .init();
    guard
}

fn describe_store(url: &StoreUrl, store: &AnyStore, durability: DurabilityFlag) -> String {
    let promise = match (store.plain(), durability) {
        (PlainStore::Memory(_), _) => "sessions end with this process",
        (PlainStore::Redis(_), _) => "the durability of an acknowledged write depends on Redis's settings",
        (PlainStore::Sql(_), _) => "an acknowledged write is committed",
        (_, DurabilityFlag::PowerLoss) => "an acknowledged write survives power loss",
        (_, DurabilityFlag::ProcessCrash) => "an acknowledged write survives a crash of the process",
    };
    format!("{url} ({promise})")
}

fn introduction(facts: &Facts, address: SocketAddr, demo: Option<DemoFlags>) -> String {
    let sha256 = Component::sha256();
    let (shown, key) = match &facts.service_key {
        Origin::Variable => (
            format!("from {SERVICE_KEY_VARIABLE}"),
            format!("${SERVICE_KEY_VARIABLE}"),
        ),
        Origin::File(path) => (
            format!("from {}", path.display()),
            format!("$(cat {})", path.display()),
        ),
        Origin::Made(path) => (
            format!("new, in {}", path.display()),
            format!("$(cat {})", path.display()),
        ),
    };
    let open = demo.map_or_else(String::new, |demo| demo.introduction(address));
    format!(
        "tessera {version}
  component    sha256 {short}...
  store        {store}
  keys         {keys}
  service key  {shown}
  listening    http://{address}
{open}
Log a subject in:
  curl http://{address}/v1/sessions -H \"Authorization: Bearer {key}\" \\
    -H 'Content-Type: application/json' -d '{{\"subject\":\"alice\",\"fields\":{{\"role\":\"admin\"}}}}'
Then read the session with the returned token:
  curl http://{address}/v1/session -H \"Authorization: Bearer $TOKEN\"
",
        version = env!("CARGO_PKG_VERSION"),
        short = &sha256[..16.min(sha256.len())],
        store = facts.store,
        keys = facts.keys,
    )
}
