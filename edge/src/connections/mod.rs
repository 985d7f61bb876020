//! Open connections: WebSockets and long polls. The Durable Object of a connection has its mailbox and its client.

mod client;
mod hub;
mod mailbox;
mod object;
mod protocol;
mod routes;
mod settings;

use std::cell::RefCell;

use tessera_connections::Name;
use tessera_contract::Timestamp;
use tessera_http::chain;
use worker::Env;

#[cfg(not(feature = "test-routes"))]
use self::mailbox::DurableMailbox;
use crate::clock;
use crate::config::{ConfigError, Engines, OWNERS_BINDING, engines, store_timeout};
use crate::engine::EdgeEngine;
use crate::error::EdgeError;
use crate::registry::Registry;
use crate::store::{CONNECTIONS_BINDING, StoreError, in_time};

#[cfg(feature = "test-routes")]
pub(crate) use mailbox::DurableMailbox;
#[cfg(feature = "test-routes")]
pub(crate) use protocol::{Reply, Request};
pub(crate) use routes::routes;

thread_local! {
    /// The isolate's connections. They hold no state of a request.
    static CONNECTIONS: RefCell<Option<EdgeConnections>> = const { RefCell::new(None) };
}

/// The connections of this Worker.
#[derive(Clone)]
pub(crate) struct EdgeConnections {
    engine: EdgeEngine,
    registry: Registry,
    mailbox: DurableMailbox,
}

impl EdgeConnections {
    /// Reads the configuration. `None` if the Worker has no connections.
    fn read(env: &Env) -> Result<Option<Self>, ConfigError> {
        let Engines {
            service, registry, ..
        } = engines(env)?;
        let Some(registry) = registry else {
            return Ok(None);
        };
        let missing = |name| move |_| ConfigError::NoBinding(name);
        let objects = env
            .durable_object(CONNECTIONS_BINDING)
            .map_err(missing(CONNECTIONS_BINDING))?;
        let owners = env
            .durable_object(OWNERS_BINDING)
            .map_err(missing(OWNERS_BINDING))?;
        Ok(Some(Self {
            engine: service,
            registry: Registry::new(registry),
            mailbox: DurableMailbox::new(objects, owners, "", store_timeout(env)?),
        }))
    }

    /// Returns until when the session of a handle lives unless it is used.
    async fn standing(&self, handle: &str) -> Result<Timestamp, EdgeError> {
        self.engine.standing(handle).await
    }

    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        in_time(self.engine.driver().store_timeout_ms(), asked).await
    }

    /// Notifies an object of the changes of a session's record.
    async fn watch(&self, record: &str, object: &str) -> Result<(), StoreError> {
        let store = self.engine.driver().store().durable();
        let store = store.ok_or(StoreError::Unsupported)?;
        self.in_time(store.watch(clock::now(), record, object)).await
    }

    /// Ends the notifications of a connection that has ended. If that fails, the record's object finds out.
    async fn unwatch(&self, record: &str, name: &Name) {
        if let Some(store) = self.engine.driver().store().durable()
            && let Err(error) = self
                .in_time(store.unwatch(record, &mailbox::object_name("", name)))
                .await
        {
            tracing::debug!("a record's object will notify in vain: {}", chain(&error));
        }
    }

    /// Removes a connection whose mailbox is removed next from the registry and the directory, and ends its notifications.
    async fn leave(
        &self,
        session: Option<&str>,
        record: Option<&str>,
        name: &Name,
    ) -> Result<(), ConnectionsError> {
        if let Some(record) = record {
            self.unwatch(record, name).await;
        }
        if let Some(session) = session {
            self.registry.leave(session, name).await?;
        }
        self.in_time(self.mailbox.directory().leave(name.as_str()))
            .await?;
        Ok(())
    }
}

/// The connections are not there, or their lists cannot be changed.
#[derive(Debug, thiserror::Error)]
enum ConnectionsError {
    #[error("the Worker is not configured")]
    Configuration(#[from] ConfigError),
    #[error("the Worker has no connections")]
    None,
    #[error("the registry cannot be changed")]
    Registry(#[from] EdgeError),
    #[error("the directory cannot be changed")]
    Directory(#[from] StoreError),
}

/// The connections of the isolate, for an object.
fn connections_of(env: &Env) -> Result<EdgeConnections, ConnectionsError> {
    if let Some(known) = CONNECTIONS.with_borrow(Option::clone) {
        return Ok(known);
    }
    let read = EdgeConnections::read(env)?.ok_or(ConnectionsError::None)?;
    CONNECTIONS.set(Some(read.clone()));
    Ok(read)
}
