//! Requests and responses between the runtime and `http`.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use http_body_util::BodyExt as _;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "./message.js")]
extern "C" {
    /// Method and URL, then the headers, a line each.
    #[wasm_bindgen(js_name = headOf)]
    fn head_of(request: &web_sys::Request) -> String;

    #[wasm_bindgen(catch, js_name = makeResponse)]
    fn make_response(status: u16, head: &str, body: &[u8]) -> Result<web_sys::Response, JsValue>;
}

/// A request as a service that is not told its own name sees it: its path and query, and its host among the headers. `None` if
/// it is none.
pub(crate) fn read(request: &web_sys::Request) -> Option<Request> {
    let head = head_of(request);
    let mut lines = head.split('\n');
    let (method, url) = lines.next()?.split_once(' ')?;
    let url: Uri = url.parse().ok()?;
    let mut headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':')?;
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            // What others have put there may be any text.
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        })
        .collect::<Option<HeaderMap>>()?;
    if let Some(host) = url.authority().and_then(|host| host.as_str().parse().ok()) {
        headers.entry(HOST).or_insert(host);
    }
    let body = request
        .body()
        .map_or_else(Body::empty, |stream| Body::new(worker::Body::new(stream)));
    let mut read = Request::new(body);
    *read.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *read.uri_mut() = url.path_and_query().cloned().map_or(url, Uri::from);
    *read.headers_mut() = headers;
    Some(read)
}

/// Hands a response over whole: none here is long.
pub(crate) async fn write(response: Response) -> Result<web_sys::Response, JsValue> {
    let (parts, body) = response.into_parts();
    let failed = |error: &dyn std::fmt::Display| JsValue::from(error.to_string());
    let body = body.collect().await.map_err(|error| failed(&error))?.to_bytes();
    let mut head = String::new();
    for (name, value) in &parts.headers {
        let value = value.to_str().map_err(|error| failed(&error))?;
        for part in [name.as_str(), ":", value, "\n"] {
            head.push_str(part);
        }
    }
    make_response(parts.status.as_u16(), head.trim_end_matches('\n'), &body)
}
