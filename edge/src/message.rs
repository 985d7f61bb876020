//! Requests and responses between the runtime and `http`.

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

/// Stands between headers that were joined.
const SEPARATOR: &str = ", ";

#[wasm_bindgen(raw_module = "./message.js")]
extern "C" {
    /// Method and URL, then the headers, a line each.
    #[wasm_bindgen(js_name = headOf)]
    fn head_of(request: &web_sys::Request) -> String;

    /// A request's body, a chunk at a time.
    #[wasm_bindgen(js_name = Body)]
    type RequestBody;

    #[wasm_bindgen(js_name = bodyOf)]
    fn body_of(request: &web_sys::Request) -> Option<RequestBody>;

    #[wasm_bindgen(method)]
    fn next(this: &RequestBody) -> Promise;

    #[wasm_bindgen(catch, js_name = makeResponse)]
    fn make_response(status: u16, head: &str, body: &[u8]) -> Result<web_sys::Response, JsValue>;
}

/// A request as a service that is not told its own name sees it: its path and query, and its host among the headers. `None` if
/// it is none. `cookies`: the names of those in which a token is taken.
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
            // What others have put there may be any text.
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

/// The runtime joins headers of one name by `, `. Of a header that may stand once, this finds the parts again, so that a second
/// one is as much a fault here as in any other host.
fn separate<'a>(name: &HeaderName, joined: &'a str, cookies: &[String]) -> Vec<&'a str> {
    let begins_one = |rest: &str| match name.as_str() {
        // No space stands in one of these.
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
        // What follows may be a second header, or within the value of another cookie, which a neighbouring site can set. A
        // token that stands there is not read; that there may be two headers is told.
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

/// A request's body. What is left of it when the request is answered, `js/main.js` reads to its end.
struct Incoming {
    /// A Worker has one thread.
    body: SendWrapper<RequestBody>,
    reading: Option<SendWrapper<JsFuture>>,
}

/// The client went away, or the runtime has ended the body. The text that JavaScript has for it may be anything.
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
