//! Tessera as a Cloudflare Worker: the same component as on other hosts, over Durable Objects and Workers KV.
//!
//! `js/main.js` is the Worker's entry point and passes each request to [`fetch`]; `js/call.js` runs the component.

mod boxed;
mod budget;
mod clock;
mod config;
mod connections;
mod deadline;
mod demo;
mod driver;
mod duration;
mod engine;
mod error;
#[cfg(feature = "test-routes")]
mod faults;
mod health;
mod log;
mod message;
mod objects;
mod random;
mod registry;
mod requests;
mod runtime;
mod service;
mod session;
mod store;
#[cfg(feature = "test-routes")]
mod testing;

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use worker::{Context, Env, console_error, worker_sys};

/// Runs when the Worker starts. Installs the panic hook.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        console_error!("the Worker panicked and restarts: {panic}");
        runtime::panicked();
    }));
}

/// Handles one request. The promise rejects if the runtime has abandoned the request.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Env, context: worker_sys::Context) -> Promise {
    let answered = requests::run(Context::new(context), service::answer(request, env));
    future_to_promise(async {
        let answered = answered
            .await
            .unwrap_or_else(|| Err(JsValue::from("the request was abandoned")));
        answered.map(JsValue::from)
    })
}
