//! The routes: the API of `tessera-http`, the health check, and the demonstration if it is enabled.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header;
use serde_json::json;
use tessera_http::api::Api;
use tessera_http::{Problem, chain};
use tower_service::Service as _;
use tracing::level_filters::LevelFilter;
use wasm_bindgen::JsValue;
use worker::Env;
use worker::send::SendFuture;

use crate::config::{Config, ConfigError};
use crate::engine::EdgeEngine;
use crate::{connections, deadline, demo, health, log, message, requests};

thread_local! {
    /// Whether the warnings of unknown variables were logged.
    static WARNED: Cell<bool> = const { Cell::new(false) };
    /// The isolate's router, created by its first request. It holds no state of a request.
    static ROUTER: RefCell<Option<(Router, Rc<[String]>)>> = const { RefCell::new(None) };
}

/// Handles one request.
pub(crate) async fn answer(request: web_sys::Request, env: Env) -> Result<web_sys::Response, JsValue> {
    let (mut router, cookies) = match router(&env) {
        Ok(router) => router,
        Err(error) => {
            tracing::error!("the Worker is not configured: {}", chain(&error));
            return message::write(Problem::new(500, "not-configured", chain(&error)).into_response()).await;
        }
    };
    let Some(request) = message::read(&request, &cookies) else {
        let problem = Problem::new(400, "malformed-request", "the request cannot be read");
        return message::write(problem.into_response()).await;
    };
    // A router's error type is `Infallible`.
    let Ok(response) = router.call(request).await;
    message::write(response).await
}

/// Returns the routes, and the names of the cookies that may carry a token.
fn router(env: &Env) -> Result<(Router, Rc<[String]>), ConfigError> {
    if let Some(router) = ROUTER.with_borrow(Option::clone) {
        return Ok(router);
    }
    // `Config::read` refuses an invalid level below, which is then logged.
    log::start(crate::config::log_level(env).unwrap_or(LevelFilter::INFO));
    if !WARNED.replace(true) {
        crate::config::warn_of_unknown(env);
    }
    let Config {
        engines,
        service_key,
        auth_headers,
        protected,
        transports,
        auth_transports,
        auth_options,
    } = Config::read(env)?;
    let engine = engines.service;
    let beside = Router::new()
        .route("/healthz", get(health))
        .with_state(engine.clone());
    let beside = match engines.demo {
        Some(engine) => beside.merge(demo::router(engine)?),
        None => beside,
    };
    #[cfg(feature = "test-routes")]
    let beside = beside.merge(crate::testing::routes(env, engine.clone()));
    let api = Api::new(engine, service_key, auth_headers, requests::spawn)
        .protect(protected)
        .transports(transports)
        .auth_transports(auth_transports)
        .auth_options(auth_options);
    let cookies = api.cookies().map(str::to_owned).collect();
    let api = Arc::new(api);
    let beside = beside.merge(connections::routes(env, &api)?);
    let router = (api.router(beside), cookies);
    ROUTER.set(Some(router.clone()));
    Ok(router)
}

/// `GET /healthz`: 200 if the store can be read and written, otherwise 503.
async fn health(State(engine): State<EdgeEngine>) -> Response {
    let driver = engine.driver();
    let (store, timeout_ms) = (driver.store().clone(), driver.store_timeout_ms());
    let asked = SendFuture::new(async move { deadline::within(timeout_ms, health::check(&store)).await });
    match asked.await {
        Some(Ok(())) => {
            let body = json!({ "status": "ok", "signing_key": engine.driver().signing_key_id() });
            ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Some(Err(error)) => {
            tracing::error!("the store cannot be read and written: {error}");
            unavailable()
        }
        None => {
            tracing::error!("the store cannot be read and written: it did not answer in time");
            unavailable()
        }
    }
}

fn unavailable() -> Response {
    Problem::new(503, "unavailable", "the store cannot be reached").into_response()
}
