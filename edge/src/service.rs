//! What is served: the API of `tessera-http`, the health of the store, and the demonstration where it is asked for.

use std::cell::RefCell;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, extract::Request};
use http::header;
use http_body_util::BodyExt as _;
use tessera_http::api::Api;
use tessera_http::{Problem, chain};
use tower_service::Service as _;
use wasm_bindgen::JsValue;
use worker::Env;
use worker::send::SendFuture;

use crate::config::{Config, ConfigError};
use crate::engine::EdgeEngine;
use crate::store::{Store as _, StoreError};
use crate::{clock, deadline, demo, log, requests};

/// No session's key is this short.
const HEALTH_KEY: &str = "health";

thread_local! {
    /// One for the isolate, made by its first request. It holds nothing of any request.
    static ROUTER: RefCell<Option<Router>> = const { RefCell::new(None) };
}

/// Answers one request.
pub(crate) async fn answer(request: web_sys::Request, env: Env) -> Result<web_sys::Response, JsValue> {
    let mut router = match router(&env) {
        Ok(router) => router,
        Err(error) => {
            tracing::error!("the Worker is not configured: {}", chain(&error));
            return give(Problem::new(500, "not-configured", chain(&error)).into_response()).await;
        }
    };
    let request = match worker::request_from_wasm(request) {
        Ok(request) => request.map(Body::new),
        Err(_) => {
            return give(
                Problem::new(400, "malformed-request", "the request cannot be read").into_response(),
            )
            .await;
        }
    };
    let request = in_one_line(request);
    // A router answers, whatever becomes of the request.
    let Ok(response) = router.call(request).await;
    give(response).await
}

fn router(env: &Env) -> Result<Router, ConfigError> {
    if let Some(router) = ROUTER.with_borrow(Option::clone) {
        return Ok(router);
    }
    log::start(crate::config::log_level(env));
    let Config {
        driver,
        service_key,
        told,
        demo,
    } = Config::read(env)?;
    let engine = EdgeEngine::new(driver);
    let beside = Router::new()
        .route("/healthz", get(health))
        .with_state(engine.clone());
    let beside = match demo {
        Some(driver) => beside.merge(demo::router(driver)?),
        None => beside,
    };
    #[cfg(feature = "test-routes")]
    let beside = beside.merge(crate::testing::routes(env, engine.clone()));
    let api = Api::new(engine, service_key, told, requests::later);
    let router = Arc::new(api).router(beside);
    ROUTER.set(Some(router.clone()));
    Ok(router)
}

/// The path and query alone, as a service that is not told its own name sees them.
fn in_one_line(mut request: Request) -> Request {
    let host = request.uri().authority().cloned();
    let line = request.uri().path_and_query().cloned();
    if let Some(line) = line {
        *request.uri_mut() = line.into();
    }
    if let Some(host) = host.and_then(|host| host.as_str().parse().ok()) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    request
}

/// `GET /healthz`: the store can be read.
async fn health(State(engine): State<EdgeEngine>) -> Response {
    let asked = SendFuture::new(async move {
        let (store, timeout_ms) = (engine.driver().store(), engine.driver().store_timeout_ms());
        deadline::within(timeout_ms, store.get(clock::now(), HEALTH_KEY, true)).await
    });
    match asked.await {
        Some(Ok(_) | Err(StoreError::Missing)) => {
            ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
        }
        Some(Err(error)) => {
            tracing::error!("the store is out of reach: {error}");
            unavailable()
        }
        None => {
            tracing::error!("the store is out of reach: it did not answer in time");
            unavailable()
        }
    }
}

fn unavailable() -> Response {
    Problem::new(503, "unavailable", "the store cannot be reached").into_response()
}

/// Hands a response over whole: none here is long.
async fn give(response: Response) -> Result<web_sys::Response, JsValue> {
    let (parts, body) = response.into_parts();
    let body: Bytes = body
        .collect()
        .await
        .map_err(|error| JsValue::from(error.to_string()))?
        .to_bytes();
    let headers = web_sys::Headers::new()?;
    for (name, value) in &parts.headers {
        let value = value.to_str().map_err(|error| JsValue::from(error.to_string()))?;
        headers.append(name.as_str(), value)?;
    }
    let init = web_sys::ResponseInit::new();
    init.set_status(parts.status.as_u16());
    init.set_headers(&headers);
    if body.is_empty() {
        return web_sys::Response::new_with_opt_str_and_init(None, &init);
    }
    let bytes = js_sys::Uint8Array::from(&body[..]);
    web_sys::Response::new_with_opt_js_u8_array_and_init(Some(&bytes), &init)
}
