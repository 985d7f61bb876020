//! The tower layer: puts a place for the session into each request, and saves it before the response leaves.

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

/// Gives every request a [`Session`](crate::Session), opened only if a handler asks for it.
///
/// Takes the token from the cookie `__Host-tessera` unless it is told otherwise.
/// The response's body has to be one that a text can become (`From<String>`), as axum's is.
///
/// Layers may stand around each other, as where routers are nested. An inner one with the same engine (a clone) and the same
/// transports takes part in the outer one's session. One with other transports has a session of its own, and extractors inside of
/// both mean the inner one's. Where two share a cookie's name or a header, and not the engine and all transports, every request
/// that passes both is answered 500, and the log says why.
#[derive(Clone, Debug)]
pub struct SessionLayer<E> {
    engine: E,
    settings: Arc<Settings>,
}

impl<E: Engine> SessionLayer<E> {
    /// Over an engine, with the default cookie.
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

    /// Takes the token from another cookie.
    #[must_use]
    pub fn cookie(self, cookie: Cookie) -> Self {
        self.transports([TokenTransport::Cookie(cookie)])
    }

    /// Takes the token from the first of these that brings one of ours, whether it is good or not; credentials of another system
    /// are passed over. **A new session's token goes out in the first of all**: where
    /// browsers log in, the cookie has to come first.
    /// None at all is as if it had not been called.
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

    /// Sends a browser that is not logged in, and would have to be, to this path (303) instead of answering 401, with the page
    /// that it asked for in the parameter [`RETURN_PARAMETER`](crate::RETURN_PARAMETER); [`ReturnTo`](crate::ReturnTo) reads
    /// it there. Only where the browser shows the answer as a page: `GET` with `Sec-Fetch-Mode: navigate`, or, from a browser
    /// that does not send that, with `text/html` in `Accept`. A script or a form is answered 401.
    ///
    /// A path that does not begin with one slash, or does not fit a header, is as if it had not been given: it would lead to
    /// another host.
    #[must_use]
    pub fn login_path(mut self, path: &str) -> Self {
        let login = LoginPath::new(path).map(Arc::new);
        if login.is_none() {
            tracing::error!(
                "the login path is not a path of this host; whoever is not logged in is answered 401"
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

/// What [`SessionLayer`] makes of a service.
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
