//! What is served: the API of `tessera-http`, the health of the store, and one line of log a request.

mod deadline;
mod health;
mod later;
mod told;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::HeaderName;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tessera::Sessions;
use tessera::http::Problem;
use tessera::http::api::{Api, ServiceKey};
use tessera::store::AnyStore;
use tokio::time::timeout;

use deadline::Deadline;
use later::Tasks;
pub(crate) use told::parse_header;

/// A body that takes longer to arrive is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A request that takes longer, its body included, is given up; what it has begun to write goes on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// All that answers requests.
pub(crate) struct Service {
    router: Router,
    store: AnyStore,
    tasks: Tasks,
}

impl Service {
    /// `told`: the fields that proxies are told, each with its header.
    pub(crate) fn new(
        sessions: Sessions,
        store: AnyStore,
        key: ServiceKey,
        told: Vec<(String, HeaderName)>,
    ) -> Self {
        let tasks = Tasks::default();
        let later = tasks.clone();
        let api = Api::new(sessions, key, told, move |task| later.start(task));
        let health = Router::new()
            .route("/healthz", get(health::health))
            .with_state(Arc::new(store.clone()));
        let router = api.router(health).layer(from_fn(attend));
        Self { router, store, tasks }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) fn store(&self) -> &AnyStore {
        &self.store
    }

    /// Waits for what goes on after its response.
    pub(crate) async fn finish_tasks(&self) {
        self.tasks.finish().await;
    }
}

/// Limits a request's time, and logs one line of it. Only the route's pattern: a path or a query may hold what no log should.
async fn attend(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let request = request.map(|body| axum::body::Body::new(Deadline::new(body, BODY_TIMEOUT)));
    let response = timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let response = response.unwrap_or_else(|_| {
        let detail = format!("the request took longer than {REQUEST_TIMEOUT:?}; what it wrote may be done");
        Problem::new(503, "request-timeout", detail).into_response()
    });
    let path = path.as_ref().map_or("unknown path", MatchedPath::as_str);
    tracing::debug!(%method, path, status = response.status().as_u16(), time = ?started.elapsed(), "request");
    response
}
