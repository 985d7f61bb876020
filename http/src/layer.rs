//! The tower layer: provides the session to each request, and saves it before the response leaves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::cookie::Cookie;
use crate::engine::Engine;
use crate::lazy::Settings;
use crate::login::LoginPath;
use crate::nest;
use crate::transport::TokenTransport;

/// Gives every request a [`Session`](crate::Session), which is opened only if a handler uses it.
///
/// By default the token travels in the cookie `__Host-tessera`.
/// The type of the response's body must implement `From<String>`, as axum's does.
///
/// Layers can be nested, for example with nested routers:
///
/// - An inner layer with the same engine (a clone) and the same transports shares the session of the outer layer.
/// - An inner layer with other transports has its own session, which extractors inside both layers return.
/// - If two layers share a cookie name or a header, but not the engine and all transports, every request that passes both
///   receives 500, and the reason is logged.
#[derive(Clone, Debug)]
pub struct SessionLayer<E> {
    engine: E,
    settings: Arc<Settings>,
}

impl<E: Engine> SessionLayer<E> {
    /// Creates a layer over an engine, with the default cookie.
    pub fn new(engine: E) -> Self {
        let settings = Settings {
            transports: vec![TokenTransport::Cookie(Cookie::default())],
            login: None,
            removes_twins: true,
        };
        Self {
            engine,
            settings: Arc::new(settings),
        }
    }

    /// Takes the token from this cookie instead of the default one.
    #[must_use]
    pub fn cookie(self, cookie: Cookie) -> Self {
        self.transports([TokenTransport::Cookie(cookie)])
    }

    /// Takes the token from the first of these transports that carries a Tessera token, valid or not; credentials of other
    /// systems are skipped.
    ///
    /// **A new session's token is sent in the first transport**: for logins by browsers, the cookie must come first.
    /// An empty list changes nothing.
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = TokenTransport>) -> Self {
        let transports: Vec<TokenTransport> = transports.into_iter().collect();
        if !transports.is_empty() {
            self.settings = Arc::new(Settings {
                transports,
                login: self.settings.login.clone(),
                removes_twins: true,
            });
        }
        self
    }

    /// Redirects a browser that needs a login to this path (303), instead of answering 401.
    ///
    /// The parameter [`RETURN_PARAMETER`](crate::RETURN_PARAMETER) holds the path of the requested page;
    /// [`ReturnTo`](crate::ReturnTo) reads it.
    /// Only page navigations are redirected: `GET` or `HEAD` with `Sec-Fetch-Mode: navigate` or, from a browser that does
    /// not send this header, with `text/html` in `Accept`. A script or a form receives 401.
    ///
    /// A path that does not begin with exactly one slash, or does not fit a header, could lead to another host.
    /// It is logged as an error, and no login path is set.
    #[must_use]
    pub fn login_path(mut self, path: &str) -> Self {
        let login = LoginPath::new(path).map(Arc::new);
        if login.is_none() {
            tracing::error!(
                "the login path is not a path on this host: requests without a login receive 401"
            );
        }
        self.settings = Arc::new(Settings {
            transports: self.settings.transports.clone(),
            login,
            removes_twins: true,
        });
        self
    }
}

impl<S, E: Clone> Layer<S> for SessionLayer<E> {
    type Service = SessionService<S, E>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService {
            inner,
            engine: self.engine.clone(),
            settings: Arc::clone(&self.settings),
        }
    }
}

/// The service produced by [`SessionLayer`].
#[derive(Clone, Debug)]
pub struct SessionService<S, E> {
    inner: S,
    engine: E,
    settings: Arc<Settings>,
}

impl<S, E, B, R> Service<Request<B>> for SessionService<S, E>
where
    E: Engine,
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: From<String> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let uri = request.uri().clone();
        let slot = match nest::enter(&self.engine, &self.settings, &uri, request.extensions_mut()) {
            Ok(slot) => slot,
            Err(shared) => {
                let problem = shared.problem();
                return Box::pin(async move { Ok(problem.response()) });
            }
        };
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            match slot {
                Some(slot) => Ok(slot.finish(response).await),
                None => Ok(response),
            }
        })
    }
}
