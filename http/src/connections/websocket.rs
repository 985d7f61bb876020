//! `GET /v1/connections` with `Upgrade: websocket`: the same stream as text frames (RFC 6455).

use std::sync::Arc;

use axum::extract::FromRequestParts as _;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use http::request::Parts;

use super::close::Close;
use super::handshake;
use super::hub::{Hub, StreamClient};
use super::socket;
use crate::api::{Answer, Api};
use crate::engine::Engine;
use crate::problem::Problem;

/// Maximum length of a frame and of a message of a client, in bytes. A client sends nothing but control frames, which are
/// shorter.
const MAXIMUM_INCOMING_BYTES: usize = 4096;
/// Initial length of the buffer of incoming frames, in bytes.
const READ_BUFFER_BYTES: usize = 1024;
/// The length to which JSON may extend each byte of a message: `\u0001`.
const ESCAPED_BYTES: usize = 6;
/// Room beside a message in the buffer of outgoing frames, in bytes: for the other fields, and for pongs.
const ENVELOPE_BYTES: usize = 4096;

/// Opens a stream by WebSocket for the holder of a token of the service's transports.
///
/// A browser hides the response to a refused handshake from its page, so some problems are reported by a close code.
pub(super) async fn websocket<E: Engine, H: Hub<E, Client: StreamClient>>(
    api: &Arc<Api<E>>,
    hub: &Arc<H>,
    mut parts: Parts,
) -> Answer {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = upgrade.map_err(|_| handshake::malformed())?;
    let message_bytes = hub.maximum_message_bytes() as usize;
    let upgrade = upgrade
        .max_frame_size(MAXIMUM_INCOMING_BYTES)
        .max_message_size(MAXIMUM_INCOMING_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        // Each frame is written at once.
        .write_buffer_size(0)
        .max_write_buffer_size(
            message_bytes
                .saturating_mul(ESCAPED_BYTES)
                .saturating_add(ENVELOPE_BYTES),
        );
    match handshake::opened(api, &**hub, &mut parts).await {
        Ok(opened) => {
            let interval = hub.sign_of_life();
            Ok(upgrade.on_upgrade(move |socket| socket::serve(socket, opened, interval)))
        }
        Err(error) => refuse(upgrade, error.into()),
    }
}

fn refuse(upgrade: WebSocketUpgrade, problem: Problem) -> Result<Response, Problem> {
    match Close::instead_of(&problem) {
        Some(close) => Ok(upgrade.on_upgrade(move |socket| socket::close(socket, close))),
        None => Err(problem),
    }
}
