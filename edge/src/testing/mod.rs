//! Routes for tests: they call a store and the engine, and inject faults.
//!
//! Compiled only with the feature `test-routes`, which a deployed Worker does not have.

mod common;
mod mailbox;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tessera_contract::Timestamp;
use wasm_bindgen::JsValue;
use worker::Env;
use worker::send::SendFuture;

use self::common::{ENV, answer, text, unfit};
use crate::driver::{Call, Engine, make_call_at, make_engine};
use crate::engine::EdgeEngine;
use crate::store::{AnyStore, StoreKind, StoreOp, StoreService as _};
use crate::{faults, requests};

thread_local! {
    static ENGINES: RefCell<HashMap<u32, Engine>> = RefCell::default();
    static CALLS: RefCell<HashMap<u32, Call>> = RefCell::default();
    static NEXT: Cell<u32> = const { Cell::new(1) };
}

pub(crate) fn routes(env: &Env, engine: EdgeEngine) -> Router {
    ENV.set(Some(env.clone()));
    Router::new()
        .route("/test/store/{kind}", get(describe))
        .route("/test/store/{kind}/{space}", post(ask))
        .route("/test/mailbox/{space}", post(mailbox::ask))
        .route("/test/engine", post(new_engine))
        .route("/test/engine/{number}", axum::routing::delete(drop_engine))
        .route("/test/call", post(begin))
        .route("/test/answer", post(go_on))
        .route("/test/faults", post(order_faults))
        .route("/test/settle", post(settle))
        .route("/test/abandon/{milliseconds}", post(abandon))
        .route("/test/clock/{milliseconds}", post(set_clock))
        .route("/test/say/{text}", post(say))
        .route("/test/panic", post(panic_now))
        .route("/test/trap", post(trap_now))
        .route("/test/lines/{space}/{owner}", get(lines))
        .route("/test/state", get(state))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(engine)
}

fn number() -> u32 {
    NEXT.replace(NEXT.get() + 1)
}

async fn order_faults(body: String) -> Response {
    match faults::order(&body) {
        Ok(()) => answer(&json!({})),
        Err(error) => unfit(&error.to_string()),
    }
}

async fn settle() -> Response {
    faults::settle();
    answer(&json!({}))
}

/// The response to a JavaScript exception, which means that the instance is lost.
fn thrown(error: &JsValue) -> Response {
    text(
        StatusCode::INTERNAL_SERVER_ERROR,
        json!({ "error": format!("{error:?}") }).to_string(),
    )
}

fn open(kind: &str, space: &str) -> Result<crate::store::AnyStore, String> {
    let named = StoreKind::NAMES
        .into_iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, kind)| kind);
    let kind = named.ok_or("unknown store")?;
    // `-` stands for the space of the service, which has an empty name.
    let space = if space == "-" { "" } else { space };
    ENV.with_borrow(|env| {
        let env = env.as_ref().ok_or("there is no environment")?;
        crate::config::open(env, kind, space).map_err(|error| error.to_string())
    })
}

async fn describe(Path(kind): Path<String>) -> Response {
    match open(&kind, "") {
        Ok(store) => answer(&store.describe()),
        Err(error) => unfit(&error),
    }
}

#[derive(Deserialize)]
struct Asked {
    now: Timestamp,
    asked: StoreOp,
}

async fn ask(Path((kind, space)): Path<(String, String)>, body: String) -> Response {
    let (store, asked) = match (open(&kind, &space), serde_json::from_str::<Asked>(&body)) {
        (Ok(store), Ok(asked)) => (store, asked),
        (Err(error), _) => return unfit(&error),
        (_, Err(error)) => return unfit(&error.to_string()),
    };
    let reply = SendFuture::new(async move { store.call(asked.now, &asked.asked).await }).await;
    answer(&reply)
}

async fn new_engine(body: String) -> Response {
    match make_engine(&body) {
        Ok(engine) => {
            let number = number();
            ENGINES.with_borrow_mut(|engines| engines.insert(number, engine));
            answer(&json!({ "engine": number }))
        }
        Err(error) => thrown(&error),
    }
}

async fn drop_engine(Path(number): Path<u32>) -> Response {
    ENGINES.with_borrow_mut(|engines| engines.remove(&number));
    answer(&json!({}))
}

#[derive(Deserialize)]
struct Begin {
    engine: u32,
    name: String,
    arguments: Box<RawValue>,
    now: f64,
}

async fn begin(body: String) -> Response {
    let begin: Begin = match serde_json::from_str(&body) {
        Ok(begin) => begin,
        Err(error) => return unfit(&error.to_string()),
    };
    let made = ENGINES.with_borrow(|engines| {
        let engine = engines.get(&begin.engine)?;
        Some(make_call_at(
            engine,
            &begin.name,
            begin.arguments.get(),
            begin.now,
        ))
    });
    match made {
        None => unfit("unknown engine"),
        Some(Err(error)) => thrown(&error),
        Some(Ok(call)) => pass(number(), call),
    }
}

#[derive(Deserialize)]
struct GoOn {
    call: u32,
    answer: Box<RawValue>,
    now: f64,
}

async fn go_on(body: String) -> Response {
    let on: GoOn = match serde_json::from_str(&body) {
        Ok(on) => on,
        Err(error) => return unfit(&error.to_string()),
    };
    let Some(call) = CALLS.with_borrow_mut(|calls| calls.remove(&on.call)) else {
        return unfit("unknown call");
    };
    call.set_at(on.now);
    match call.answer(on.answer.get()) {
        Ok(()) => pass(on.call, call),
        Err(error) => thrown(&error),
    }
}

/// Runs one pass. A call that has not ended is kept until its reply arrives.
fn pass(number: u32, call: Call) -> Response {
    let passed = match call.pass() {
        Ok(passed) => passed,
        Err(error) => return thrown(&error),
    };
    if passed.starts_with(r#"{"asked""#) {
        CALLS.with_borrow_mut(|calls| calls.insert(number, call));
    }
    text(
        StatusCode::OK,
        format!(r#"{{"call":{number},"passed":{passed}}}"#),
    )
}

async fn abandon(Path(milliseconds): Path<u64>) -> Response {
    requests::abandon_after(milliseconds);
    answer(&json!({}))
}

/// Sets the clock of the Worker and its objects back. The runtime's, of the alarms, is as before.
async fn set_clock(Path(milliseconds): Path<u64>) -> Response {
    crate::clock::set_behind(milliseconds);
    answer(&json!({}))
}

/// Logs a text. Everything logged earlier precedes it.
async fn say(Path(text): Path<String>) -> Response {
    tracing::warn!("{text}");
    answer(&json!({}))
}

async fn panic_now() -> Response {
    panic!("requested by the test")
}

/// Traps, as exhaustion of stack or memory does: without a panic message and without unwinding.
async fn trap_now() -> Response {
    core::arch::wasm32::unreachable()
}

/// The keys of an owner's index in Durable Objects, whether or not their records exist.
async fn lines(Path((space, owner)): Path<(String, String)>) -> Response {
    let store = match open("durable", &space) {
        Ok(AnyStore::Durable(store)) => store,
        Ok(_) => return unfit("it is another store"),
        Err(error) => return unfit(&error),
    };
    match SendFuture::new(async move { store.lines(&owner).await }).await {
        Ok(keys) => answer(&keys),
        Err(error) => unfit(&error.to_string()),
    }
}

/// The present state: work items of requests (this one included), the sizes of both memories, and counters.
async fn state(State(engine): State<EdgeEngine>) -> Response {
    let memory: js_sys::WebAssembly::Memory = wasm_bindgen::memory().into();
    let worker = js_sys::ArrayBuffer::from(memory.buffer()).byte_length();
    let component = engine.driver().instance().map(|instance| instance.js.bytes());
    answer(&json!({
        "under-way": requests::held(),
        "waiting": crate::runtime::waiting(),
        "worker-bytes": worker,
        "component-bytes": component.unwrap_or_default(),
        "kv-writes": faults::kv_writes(),
        "object-questions": faults::object_questions(),
        "connection-alarms": faults::connection_alarms(),
        "connections-made": faults::connections_made(),
        "calls": CALLS.with_borrow(HashMap::len),
    }))
}
