//! The service over an engine: its key, its transports, its fields.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;

use http::HeaderName;

use super::service_key::ServiceKey;
use super::transports;
use crate::auth::{Authorizer, Preflight};
use crate::engine::Engine;
use crate::transport::TokenTransport;

/// Work that need not be waited for.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The service over an engine. [`Api::router`] serves it.
pub struct Api<E> {
    pub(super) engine: E,
    pub(super) key: ServiceKey,
    /// Where a session's token may stand, in this order.
    pub(super) transports: Vec<TokenTransport>,
    pub(super) authorizer: Authorizer<E>,
    /// Fields that only the service key writes.
    pub(super) protected: HashSet<String>,
    pub(super) spawn: Box<dyn Fn(Task) + Send + Sync>,
}

impl<E> fmt::Debug for Api<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl<E: Engine> Api<E> {
    /// Over an engine. `auth_headers`: the fields that proxies receive at `/auth`, each with its header. `spawn` is handed what a
    /// request has left to do once it is answered: it is to be run to its end, and not waited for.
    ///
    /// A token is taken from `Authorization: Bearer`, or else from the cookies `__Host-tessera` and `tessera`: the first
    /// cannot be planted by a sibling domain (RFC 6265bis, section 4.1.3.2). No cookie is set under `/v1`.
    pub fn new(
        engine: E,
        key: ServiceKey,
        auth_headers: Vec<(String, HeaderName)>,
        spawn: impl Fn(Task) + Send + Sync + 'static,
    ) -> Self {
        let transports = transports::standard();
        let protected = auth_headers.iter().map(|(field, _)| field.clone()).collect();
        Self {
            authorizer: Authorizer::new(engine.clone(), transports.clone(), auth_headers),
            protected,
            engine,
            key,
            transports,
            spawn: Box::new(spawn),
        }
    }

    /// Lets only the service key write these fields, as it does those that proxies receive: a client who holds a token
    /// changes all others with `PATCH /v1/session`.
    #[must_use]
    pub fn protect(mut self, fields: impl IntoIterator<Item = String>) -> Self {
        self.protected.extend(fields);
        self
    }

    /// Takes a token from the first of these that brings one of ours; none at all is as if it had not been called.
    /// [`check_transports`](super::check_transports) says whether they are fit.
    #[must_use]
    pub fn transports(mut self, transports: Vec<TokenTransport>) -> Self {
        if !transports.is_empty() {
            self.authorizer = self.authorizer.transports(transports.clone());
            self.transports = transports;
        }
        self
    }

    /// The same for `/auth` alone.
    #[must_use]
    pub fn auth_transports(mut self, transports: Vec<TokenTransport>) -> Self {
        if !transports.is_empty() {
            self.authorizer = self.authorizer.transports(transports);
        }
        self
    }

    /// What `/auth` answers to `OPTIONS`.
    #[must_use]
    pub fn auth_options(mut self, options: Preflight) -> Self {
        self.authorizer = self.authorizer.options(options);
        self
    }

    /// The names of the cookies in which a token is taken, some twice.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let all = self.transports.iter().chain(self.authorizer.all_carriers());
        all.filter_map(|transport| match transport {
            TokenTransport::Cookie(cookie) => Some(cookie.name()),
            TokenTransport::Bearer | TokenTransport::Header(_) => None,
        })
    }
}
