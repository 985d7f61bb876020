//! The service over an engine, with its key, transports and fields.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;

use http::HeaderName;

use super::service_key::ServiceKey;
use super::transports;
use crate::auth::{Authorizer, Preflight};
use crate::engine::Engine;
use crate::transport::TokenTransport;

/// Work that no response waits for.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The service over an engine. [`Api::router`] serves it.
pub struct Api<E> {
    pub(super) engine: E,
    pub(super) key: ServiceKey,
    /// The transports of a session's token, in order of preference.
    pub(super) transports: Vec<TokenTransport>,
    pub(super) authorizer: Authorizer<E>,
    /// Fields that only the holder of the service key may write.
    pub(super) protected: HashSet<String>,
    /// Runs a task to its end in the background.
    pub(super) spawn: Box<dyn Fn(Task) + Send + Sync>,
    /// Returns the work that follows the end of a session, or a login into it, given its public id.
    after_end: Option<Box<dyn Fn(String) -> Task + Send + Sync>>,
}

impl<E> fmt::Debug for Api<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl<E: Engine> Api<E> {
    /// Creates the service over an engine.
    ///
    /// `auth_headers` lists the fields that proxies receive at `/auth`, each with its header.
    /// `spawn` receives the work that is left once a request is answered: it must run the task to its end, without waiting
    /// for it.
    ///
    /// A token is taken from `Authorization: Bearer`, or else from the cookies `__Host-tessera` and `tessera`.
    /// A sibling domain cannot plant the first of these cookies (RFC 6265bis, section 4.1.3.2).
    /// No cookie is set under `/v1`.
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
            after_end: None,
        }
    }

    /// Runs this work in the background after a route has ended a session, or has logged a subject in, given the public id of
    /// the session. A service closes the session's connections there, without waiting until they notice.
    ///
    /// It does not run for the sessions that a call ends all at once.
    #[must_use]
    pub fn after_end(mut self, work: impl Fn(String) -> Task + Send + Sync + 'static) -> Self {
        self.after_end = Some(Box::new(work));
        self
    }

    /// Starts the work that follows the end of a session.
    pub(super) fn note_end(&self, public_id: String) {
        if let Some(after_end) = &self.after_end {
            (self.spawn)(after_end(public_id));
        }
    }

    /// The engine.
    #[cfg(feature = "connections")]
    pub(crate) fn engine(&self) -> &E {
        &self.engine
    }

    /// Restricts the writing of these fields to holders of the service key, as is always done for the fields that proxies
    /// receive.
    /// A client with a token can change all other fields with `PATCH /v1/session`.
    #[must_use]
    pub fn protect(mut self, fields: impl IntoIterator<Item = String>) -> Self {
        self.protected.extend(fields);
        self
    }

    /// Takes a token from the first of these transports that carries a Tessera token, at `/auth` as well.
    /// An empty list changes nothing. [`check_transports`](super::check_transports) checks a list.
    #[must_use]
    pub fn transports(mut self, transports: Vec<TokenTransport>) -> Self {
        if !transports.is_empty() {
            self.authorizer = self.authorizer.transports(transports.clone());
            self.transports = transports;
        }
        self
    }

    /// Sets the transports of `/auth` alone. An empty list changes nothing.
    #[must_use]
    pub fn auth_transports(mut self, transports: Vec<TokenTransport>) -> Self {
        if !transports.is_empty() {
            self.authorizer = self.authorizer.transports(transports);
        }
        self
    }

    /// Sets the response of `/auth` to `OPTIONS`.
    #[must_use]
    pub fn auth_options(mut self, options: Preflight) -> Self {
        self.authorizer = self.authorizer.options(options);
        self
    }

    /// The names of the cookies that may carry a token; a name may occur twice.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let all = self.transports.iter().chain(self.authorizer.all_carriers());
        all.filter_map(|transport| match transport {
            TokenTransport::Cookie(cookie) => Some(cookie.name()),
            TokenTransport::Bearer | TokenTransport::Header(_) => None,
        })
    }
}
