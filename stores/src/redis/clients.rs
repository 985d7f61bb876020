//! Creates clients with the address and the credentials of a URL.

use std::fs;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, TlsCertificates, TlsMode,
};

use super::error::RedisStoreError;
use super::url::{Kind, Login, RedisUrl};
use super::wire::Node;

/// Creates the clients of one store.
pub(super) struct Clients {
    pub(super) url: RedisUrl,
    certificates: Option<TlsCertificates>,
}

/// The time-outs of a call and of a connection.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) call: Duration,
    pub(super) connect: Duration,
}

impl Clients {
    pub(super) fn new(url: RedisUrl) -> Result<Self, RedisStoreError> {
        let mut certificates = None;
        if let Some(path) = &url.ca {
            let root_cert = fs::read(path).map_err(|source| RedisStoreError::Certificate {
                path: path.clone(),
                source,
            })?;
            certificates = Some(TlsCertificates {
                client_tls: None,
                root_cert: Some(root_cert),
            });
        }
        if url.tls {
            // Fails if another part of the program has chosen a provider, which serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Ok(Self { url, certificates })
    }

    /// Opens a separate connection to one server for push messages (RESP3).
    pub(super) async fn pushing(
        &self,
        node: &Node,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let (host, port) = match self.url.kind {
            Kind::Single => (self.url.hosts[0].0.as_str(), self.url.hosts[0].1),
            Kind::Cluster => (node.host.as_str(), node.port),
            Kind::Sentinel => {
                let mut sentinels = self.sentinels(ProtocolVersion::RESP3)?;
                return sentinels.get_async_connection_with_config(config).await;
            }
        };
        let client = self.client(host, port, ProtocolVersion::RESP3)?;
        client.get_multiplexed_async_connection_with_config(config).await
    }

    /// Creates a client of one server.
    pub(super) fn of(&self, host: &str, port: u16) -> Result<Client, RedisError> {
        self.client(host, port, ProtocolVersion::RESP2)
    }

    fn client(&self, host: &str, port: u16, protocol: ProtocolVersion) -> Result<Client, RedisError> {
        let info = self.info(host, port)?;
        let settings = info.redis_settings().clone().set_protocol(protocol);
        let info = info.set_redis_settings(settings);
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    fn info(&self, host: &str, port: u16) -> Result<ConnectionInfo, RedisError> {
        let mut settings = RedisConnectionInfo::default()
            .set_db(i64::from(self.url.database))
            .set_lib_name("tessera", env!("CARGO_PKG_VERSION"));
        let Login { user, password } = &self.url.login;
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        let info = self.address(host, port).into_connection_info()?;
        Ok(info.set_redis_settings(settings))
    }

    fn address(&self, host: &str, port: u16) -> ConnectionAddr {
        if !self.url.tls {
            return ConnectionAddr::Tcp(host.to_owned(), port);
        }
        ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure: false,
            tls_params: None,
        }
    }

    pub(super) fn sentinels(&self, protocol: ProtocolVersion) -> Result<SentinelClient, RedisError> {
        let addresses: Vec<_> = self
            .url
            .hosts
            .iter()
            .map(|(host, port)| self.address(host, *port))
            .collect();
        let mut builder =
            SentinelClientBuilder::new(addresses, &self.url.master, SentinelServerType::Master)?
                .set_client_to_redis_db(i64::from(self.url.database))
                .set_client_to_redis_protocol(protocol);
        if let Some(user) = &self.url.login.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.url.login.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(user) = &self.url.sentinel_login.user {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = &self.url.sentinel_login.password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if self.url.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        builder.build()
    }

    pub(super) fn cluster(&self, limits: Limits) -> Result<ClusterClient, RedisError> {
        let nodes: Result<Vec<_>, _> = self
            .url
            .hosts
            .iter()
            .map(|(host, port)| self.info(host, *port))
            .collect();
        let mut builder = ClusterClient::builder(nodes?)
            // The client's own retries would repeat a write whose answer was lost.
            .retries(0)
            .connection_timeout(limits.connect)
            .response_timeout(limits.call);
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        builder.build()
    }
}
