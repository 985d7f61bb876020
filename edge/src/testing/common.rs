//! The environment, and the answers of the routes.

use std::cell::RefCell;

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;
use worker::Env;

thread_local! {
    pub(super) static ENV: RefCell<Option<Env>> = const { RefCell::new(None) };
}

pub(super) fn text(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

pub(super) fn answer(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(written) => text(StatusCode::OK, written),
        Err(error) => unfit(&error.to_string()),
    }
}

pub(super) fn unfit(what: &str) -> Response {
    text(StatusCode::BAD_REQUEST, json!({ "error": what }).to_string())
}
