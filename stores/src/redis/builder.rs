//! The builder of a store.

use std::sync::Arc;
use std::time::Duration;

use super::clients::{Clients, Limits};
use super::eviction;
use super::link::Link;
use super::shared::{Eviction, Shared};
use super::url::PREFIX;
use super::{HeadFormat, MAXIMUM_VALUE_BYTES, RedisStore, RedisStoreError, RedisUrl};

/// Settings of a [`RedisStore`]. The options of the URL override them.
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
    /// Sets the prefix of every key. Default: `tessera:`. In a URL: `prefix`.
    ///
    /// Two services in one database need two prefixes, neither of which is a prefix of the other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the longest time of a call, including retries and new connections. Default: 2 seconds. In a URL: `timeout_ms`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest time of connecting to one server. Default: 1 second. In a URL: `connect_timeout_ms`.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the maximum length of a value in bytes; at most, and by default, 16 MiB.
    pub fn maximum_value_bytes(mut self, bytes: u32) -> Self {
        self.maximum_value_bytes = bytes.min(MAXIMUM_VALUE_BYTES);
        self
    }

    /// Sets the format of written records. Default: [`HeadFormat::V1`], the only one of this release.
    ///
    /// Records in every [`HeadFormat`] are read. While processes of an older release use the same Redis, choose a format that
    /// they read; `docs/layout.md` describes an upgrade.
    pub fn write_format(mut self, format: HeadFormat) -> Self {
        self.write_format = format;
        self
    }

    /// Sets whether to refuse a server whose `maxmemory-policy` is unknown or is not `noeviction`. Default: `true`.
    /// In a URL: `check_eviction=yes` or `check_eviction=no`.
    ///
    /// The check needs `INFO`. Without the check, you are responsible for the policy: a server that evicts may remove the index
    /// of a subject and keep its sessions, so that revoking all of them ends none.
    pub fn check_eviction(mut self, check: bool) -> Self {
        self.check_eviction = check;
        self
    }

    /// Sets the interval at which an open store checks the policy. Default: a minute; at least a millisecond.
    pub fn eviction_check_interval(mut self, interval: Duration) -> Self {
        self.eviction_check_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets whether the store is opened read-only. Default: no.
    ///
    /// The server may then be a replica: the opening does not check that it accepts writes, and does not check the policy.
    /// Every write fails with [`StoreError::Other`](crate::StoreError::Other), before the server receives it.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Connects, logs in, and checks that the server supports the commands of a store.
    ///
    /// Needs a tokio runtime with time and I/O enabled, for as long as the store is used.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError`], which contains neither user nor password.
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
                read_only: self.read_only,
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
                "the eviction policy of Redis is not checked: maxmemory-policy has to be noeviction on every server"
            );
        }
        Ok(store)
    }
}
