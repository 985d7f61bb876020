//! Converts requests and responses between the runtime and the `http` crate.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use http_body::Frame;
use http_body_util::BodyExt as _;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::send::SendWrapper;

/// The separator of joined headers.
const SEPARATOR: &str = ", ";

#[wasm_bindgen(raw_module = "./message.js")]
extern "C" {
    /// Method and URL, then the headers, one per line.
    #[wasm_bindgen(js_name = headOf)]
    fn head_of(request: &web_sys::Request) -> String;

    /// A request's body, read in chunks.
    #[wasm_bindgen(js_name = Body)]
    type RequestBody;

    #[wasm_bindgen(js_name = bodyOf)]
    fn body_of(request: &web_sys::Request) -> Option<RequestBody>;

    #[wasm_bindgen(method)]
    fn next(this: &RequestBody) -> Promise;

    #[wasm_bindgen(catch, js_name = makeResponse)]
    fn make_response(status: u16, head: &str, body: &[u8]) -> Result<web_sys::Response, JsValue>;
}

/// Converts a request to the form that an origin server receives: path and query as the URI, and the host as a header.
///
/// `cookies` are the names of the cookies that may carry a token.
/// Returns `None` if the request is invalid.
pub(crate) fn read(request: &web_sys::Request, cookies: &[String]) -> Option<Request> {
    let head = head_of(request);
    let mut lines = head.split('\n');
    let (method, url) = lines.next()?.split_once(' ')?;
    let url: Uri = url.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        for value in separate(&name, value, cookies) {
            // A value may be any text, because clients and proxies set it.
            headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
    }
    if let Some(host) = url.authority().and_then(|host| host.as_str().parse().ok()) {
        headers.entry(HOST).or_insert(host);
    }
    let body = body_of(request).map_or_else(Body::empty, |body| Body::new(Incoming::new(body)));
    let mut read = Request::new(body);
    *read.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *read.uri_mut() = url.path_and_query().cloned().map_or(url, Uri::from);
    *read.headers_mut() = headers;
    Some(read)
}

/// Splits a header that the runtime has joined from several of the same name with `, `.
///
/// Only headers that may occur once are split, so that a second one is refused as on every other host.
fn separate<'a>(name: &HeaderName, joined: &'a str, cookies: &[String]) -> Vec<&'a str> {
    let begins_one = |rest: &str| match name.as_str() {
        // Values without spaces.
        "x-tessera-service-key" | "origin" | "sec-fetch-site" => true,
        "content-type" => rest
            .split([';', ','])
            .next()
            .is_some_and(|media| media.contains('/')),
        // A scheme and its credentials; parameters of another scheme have no space after their name.
        "authorization" => {
            let scheme = rest.split(' ').next().unwrap_or_default();
            scheme.len() < rest.len() && !scheme.contains(['=', ',', '"'])
        }
        // The rest may be a second header, or part of the value of another cookie, which a sibling domain can set.
        // The possible second header is reported, and a token in it is not read.
        "cookie" => {
            let begins = |name: &String| {
                rest.strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.starts_with('='))
            };
            cookies.iter().any(begins)
        }
        _ => false,
    };
    let mut parts = Vec::new();
    let (mut rest, mut searched) = (joined, 0);
    while let Some(at) = rest[searched..].find(SEPARATOR).map(|at| searched + at) {
        let after = at + SEPARATOR.len();
        if begins_one(&rest[after..]) {
            parts.push(&rest[..at]);
            (rest, searched) = (&rest[after..], 0);
        } else {
            searched = after;
        }
    }
    parts.push(rest);
    parts
}

/// A request's body. `js/main.js` reads the unread rest after the response is complete.
struct Incoming {
    /// In a `SendWrapper`, because a Worker has one thread.
    body: SendWrapper<RequestBody>,
    reading: Option<SendWrapper<JsFuture>>,
}

/// The client disconnected, or the runtime ended the body. The text of the JavaScript error is dropped, because it is
/// arbitrary.
#[derive(Debug, thiserror::Error)]
#[error("the body ended early")]
struct Interrupted;

impl Incoming {
    fn new(body: RequestBody) -> Self {
        Self {
            body: SendWrapper(body),
            reading: None,
        }
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let this = &mut *self;
        let reading = this
            .reading
            .get_or_insert_with(|| SendWrapper(JsFuture::from(this.body.next())));
        let chunk = ready!(Pin::new(&mut reading.0).poll(context));
        this.reading = None;
        Poll::Ready(match chunk {
            Ok(chunk) if chunk.is_undefined() => None,
            Ok(chunk) => {
                let bytes = Bytes::from(Uint8Array::new(&chunk).to_vec());
                Some(Ok(Frame::data(bytes)))
            }
            Err(_) => Some(Err(Interrupted)),
        })
    }
}

/// A response of the runtime itself, with the client's end of a socket. It replaces the response that carries it.
#[derive(Clone)]
pub(crate) struct Handed(SendWrapper<web_sys::Response>);

impl Handed {
    pub(crate) fn new(response: web_sys::Response) -> Self {
        Self(SendWrapper(response))
    }
}

/// Converts a response to the runtime's form. The body is collected first, because all bodies here are short.
pub(crate) async fn write(response: Response) -> Result<web_sys::Response, JsValue> {
    let (mut parts, body) = response.into_parts();
    if let Some(Handed(response)) = parts.extensions.remove() {
        return Ok(response.0);
    }
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
