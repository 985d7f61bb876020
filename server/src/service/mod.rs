//! The service: the API of `tessera-http`, the health of the store, and one log line for each request.

mod deadline;
mod health;
mod tasks;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::HeaderName;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tessera::connections::{Connections, router};
use tessera::http::api::{Api, ServiceKey};
use tessera::http::{Problem, chain};
use tessera::store::{AnyMailbox, AnyStore};
use tessera::{BegunWrites, Sessions};
use tokio::time::timeout;

use crate::limits::Limits;
use crate::transports::TransportFlags;
use deadline::Deadline;
use health::Health;
use tasks::Tasks;
pub(crate) use tessera::http::api::{check_field, check_headers, parse_header};

/// The fields that only the holder of the service key writes.
pub(crate) struct ServiceFields {
    /// The fields that proxies receive, each with its header.
    pub(crate) for_proxies: Vec<(String, HeaderName)>,
    /// Further fields.
    pub(crate) protected: Vec<String>,
}

/// Closes the connections of a session that has ended, at every process. Without it, they end at the next beat.
async fn close_streams(connections: Arc<Connections<AnyMailbox>>, session: String) {
    if let Err(error) = connections.close_session(&session).await {
        tracing::debug!("the connections of a session end later: {}", chain(&error));
    }
}

/// The service behind all routes.
pub(crate) struct Service {
    api: Arc<Api<Sessions>>,
    store: AnyStore,
    health: Health,
    tasks: Tasks,
    writes: BegunWrites,
    limits: Limits,
    /// `None` if the store has no mailboxes.
    connections: Option<Arc<Connections<AnyMailbox>>>,
}

impl Service {
    pub(crate) fn new(
        sessions: Sessions,
        store: AnyStore,
        key: ServiceKey,
        fields: ServiceFields,
        limits: Limits,
        transports: TransportFlags,
        connections: Option<Connections<AnyMailbox>>,
    ) -> Self {
        let tasks = Tasks::default();
        let spawned = tasks.clone();
        let writes = sessions.begun_writes();
        let health = Health::new(sessions.clone(), store.clone(), tasks.clone());
        let connections = connections.map(Arc::new);
        let mut api = Api::new(sessions, key, fields.for_proxies, move |task| spawned.start(task))
            .protect(fields.protected);
        if let Some(connections) = &connections {
            let connections = Arc::clone(connections);
            api = api.after_end(move |session| Box::pin(close_streams(Arc::clone(&connections), session)));
        }
        Self {
            api: Arc::new(transports.apply(api)),
            store,
            health,
            tasks,
            writes,
            limits,
            connections,
        }
    }

    /// All routes, and those of the demonstration if it is served.
    pub(crate) fn router(&self, demo: Router) -> Router {
        let health = Router::new()
            .route("/healthz", get(health::health))
            .with_state(self.health.clone());
        let connections = match &self.connections {
            Some(connections) => router(Arc::clone(&self.api), Arc::clone(connections)),
            None => Router::new(),
        };
        let limits = self.limits;
        Arc::clone(&self.api)
            .router(health.merge(demo).merge(connections))
            .layer(from_fn(move |request, next| attend(request, next, limits)))
    }

    pub(crate) fn store(&self) -> &AnyStore {
        &self.store
    }

    /// Ends the streams of this process, whose clients come back to another one.
    pub(crate) fn end_streams(&self) {
        if let Some(connections) = &self.connections {
            connections.shut_down();
        }
    }

    /// Waits for the tasks and writes that continue after their responses, and until the clients of streams are detached.
    pub(crate) async fn finish_tasks(&self) {
        self.tasks.finish().await;
        self.writes.finish().await;
        if let Some(connections) = &self.connections {
            connections.finish().await;
        }
    }
}

/// Limits the time of a request, and logs one line for it.
///
/// A write in progress continues after the limit.
/// The log contains only the route's pattern, because a path or a query may contain secrets.
async fn attend(request: Request, next: Next, limits: Limits) -> Response {
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let request = request.map(|body| axum::body::Body::new(Deadline::new(body, limits.part_timeout())));
    let response = timeout(limits.request_timeout, next.run(request)).await;
    let response = response.unwrap_or_else(|_| {
        let limit = limits.request_timeout;
        let detail = format!("the request took longer than {limit:?}; its writes may have succeeded");
        Problem::new(503, "request-timeout", detail).into_response()
    });
    let path = path.as_ref().map_or("unknown path", MatchedPath::as_str);
    tracing::debug!(%method, path, status = response.status().as_u16(), time = ?started.elapsed(), "request");
    response
}
