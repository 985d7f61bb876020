//! Settings, and how a store is opened with them.

use std::sync::Arc;
use std::time::Duration;

use super::clients::{Clients, Limits};
use super::{HeadFormat, MAXIMUM_VALUE_BYTES, PREFIX, RedisStore, RedisStoreError, RedisUrl, Shared};

/// Settings of a [`RedisStore`]. What the URL says goes before them.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct RedisStoreBuilder {
    prefix: String,
    timeout: Duration,
    connect_timeout: Duration,
    maximum_value_bytes: u32,
    write_format: HeadFormat,
}

impl Default for RedisStoreBuilder {
    fn default() -> Self {
        Self {
            prefix: PREFIX.to_owned(),
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
            maximum_value_bytes: MAXIMUM_VALUE_BYTES,
            write_format: HeadFormat::default(),
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
        let link = Arc::clone(&clients).connect(limits).await?;
        let store = RedisStore {
            shared: Arc::new(Shared {
                link,
                clients,
                prefix: url.prefix.clone().unwrap_or(self.prefix),
                timeout: limits.call,
                maximum_value_bytes: self.maximum_value_bytes,
                write_format: self.write_format,
            }),
        };
        store.check().await?;
        Ok(store)
    }
}
