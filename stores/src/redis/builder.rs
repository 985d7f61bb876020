//! Settings, and how a store is opened with them.

use std::sync::Arc;
use std::time::Duration;

use super::clients::{Clients, Limits};
use super::eviction;
use super::link::Link;
use super::shared::{Eviction, Shared};
use super::url::PREFIX;
use super::{HeadFormat, MAXIMUM_VALUE_BYTES, RedisStore, RedisStoreError, RedisUrl};

/// Settings of a [`RedisStore`]. What the URL says goes before them.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct RedisStoreBuilder {
    prefix: String,
    timeout: Duration,
    connect_timeout: Duration,
    maximum_value_bytes: u32,
    write_format: HeadFormat,
    check_eviction: bool,
    eviction_check_interval: Duration,
    read_only: bool,
}

impl Default for RedisStoreBuilder {
    fn default() -> Self {
        Self {
            prefix: PREFIX.to_owned(),
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
            maximum_value_bytes: MAXIMUM_VALUE_BYTES,
            write_format: HeadFormat::default(),
            check_eviction: true,
            eviction_check_interval: Duration::from_secs(60),
            read_only: false,
        }
    }
}

impl RedisStoreBuilder {
    /// What every key begins with. Default: `tessera:`.
    ///
    /// Two services in one database need two prefixes, of which neither begins with the other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a call may take in all, with every new try and new connection. Default: 2 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long it may take to connect to one server. Default: 1 second.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The longest value the store takes, in bytes; at most, and by default, 16 MiB.
    pub fn maximum_value_bytes(mut self, bytes: u32) -> Self {
        self.maximum_value_bytes = bytes.min(MAXIMUM_VALUE_BYTES);
        self
    }

    /// The format in which records are written. Default: [`HeadFormat::V1`], the only one of this release.
    ///
    /// Records of every [`HeadFormat`] are read. While processes of an older release use the same Redis, choose one that
    /// they read; `docs/layout.md` describes an upgrade.
    pub fn write_format(mut self, format: HeadFormat) -> Self {
        self.write_format = format;
        self
    }

    /// Whether to refuse servers whose `maxmemory-policy` is not `noeviction`, or that do not say which it is. Default: `true`.
    ///
    /// Without the check, which needs `INFO`, you vouch for the policy yourself: a server that evicts may remove the index of
    /// a subject and keep its sessions, so that revoking all of them ends none.
    pub fn check_eviction(mut self, check: bool) -> Self {
        self.check_eviction = check;
        self
    }

    /// How often an open store looks at the policy again. Default: a minute; at least a millisecond.
    pub fn eviction_check_interval(mut self, interval: Duration) -> Self {
        self.eviction_check_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Whether the store is opened to read: a replica will do, and whether it can be written to is not tried. Default: no.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Connects, logs in, and tries whether the server does what a store needs.
    ///
    /// Needs a tokio runtime with time and I/O, on which the connections live from then on.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError`] says what is wrong, without user or password.
    pub async fn open(self, url: &RedisUrl) -> Result<RedisStore, RedisStoreError> {
        let limits = Limits {
            call: url.timeout.unwrap_or(self.timeout),
            connect: url.connect_timeout.unwrap_or(self.connect_timeout),
        };
        let clients = Arc::new(Clients::new(url.clone())?);
        let link = Link::connect(Arc::clone(&clients), limits).await?;
        let store = RedisStore {
            shared: Arc::new(Shared {
                link,
                clients,
                prefix: url.prefix.clone().unwrap_or(self.prefix),
                timeout: limits.call,
                maximum_value_bytes: self.maximum_value_bytes,
                write_format: self.write_format,
                eviction: Eviction::default(),
            }),
        };
        store.check().await?;
        if self.read_only {
            return Ok(store);
        }
        store.check_takes_writes().await?;
        if url.check_eviction.unwrap_or(self.check_eviction) {
            eviction::check_at_start(&store.shared.link, limits.call).await?;
            let shared = Arc::downgrade(&store.shared);
            tokio::spawn(eviction::watch(shared, self.eviction_check_interval));
        } else {
            tracing::warn!(
                "whether Redis evicts sessions is not checked: maxmemory-policy has to be noeviction on every server"
            );
        }
        Ok(store)
    }
}
