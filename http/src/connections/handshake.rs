//! The handshake of a WebSocket (RFC 6455, section 4.2), whoever serves the socket.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};

use super::hub::{Hub, HubError};
use super::opening::{Opened, open};
use crate::api::{Api, token_of_stream};
use crate::engine::Engine;
use crate::problem::Problem;

/// The version of RFC 6455.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Whether the request is the handshake of a WebSocket.
pub(super) fn is_handshake(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(header::UPGRADE);
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Whether the runtime may complete the handshake: a Worker that calls another one names no version.
pub(super) fn is_acceptable(parts: &Parts) -> bool {
    let version = parts.headers.get(header::SEC_WEBSOCKET_VERSION);
    parts.method == Method::GET && version.is_none_or(|version| *version == VERSION)
}

/// Attaches the client that shakes hands.
pub(super) async fn opened<E: Engine, H: Hub<E>>(
    api: &Arc<Api<E>>,
    hub: &H,
    parts: &mut Parts,
) -> Result<Opened<H::Client>, HubError> {
    let token = token_of_stream(parts, api).await?;
    open(api.engine(), hub, &token, parts, "websocket").await
}

pub(super) fn malformed() -> Problem {
    let detail = "the handshake is malformed, or of another version than 13 (RFC 6455, section 4.2.1)";
    let version = HeaderName::from_static("sec-websocket-version");
    Problem::new(400, "handshake-malformed", detail).header(version, VERSION)
}
