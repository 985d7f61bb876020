//! Connections of a host whose runtime has WebSockets of its own, and no responses that stay open.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::handler::Handler as _;
use axum::response::Response;
use tessera_connections::Cursor;

use super::client::is_stream;
use super::close::Close;
use super::frames::text;
use super::handshake::{is_acceptable, is_handshake, malformed, opened};
use super::hub::{Hub, HubError};
use super::opening::Opened;
use super::service;
use crate::api::{Answer, Api};
use crate::engine::Engine;
use crate::problem::Problem;

/// Connections whose host serves the WebSockets.
pub trait Sockets<E: Engine>: Hub<E> {
    /// Completes the handshake of an attached client. The socket sends these frames, and then those of [`Frames`](super::Frames)
    /// after `at`.
    ///
    /// # Errors
    /// [`HubError::Ended`], [`HubError::Other`].
    fn accept(
        &self,
        client: Self::Client,
        at: Cursor,
        first: Vec<String>,
    ) -> impl Future<Output = Result<Response, HubError>> + Send;

    /// Completes a handshake, and closes the socket at once.
    fn refuse(&self, close: Close) -> Response;
}

/// `GET /v1/connections`: a WebSocket for a client that shakes hands; otherwise a list for a service.
pub(super) async fn list_or_socket<E: Engine, H: Sockets<E>>(
    State(api): State<Arc<Api<E>>>,
    Extension(hub): Extension<Arc<H>>,
    request: Request,
) -> Answer {
    let (mut parts, body) = request.into_parts();
    if is_handshake(&parts) {
        if !is_acceptable(&parts) {
            return Err(malformed());
        }
        let accepted = async {
            let Opened { client, at, first } = opened(&api, &*hub, &mut parts).await?;
            hub.accept(client, at, first.iter().map(text).collect()).await
        };
        let problem = match accepted.await {
            Ok(response) => return Ok(response),
            Err(error) => Problem::from(error),
        };
        // A browser hides the response to a refused handshake from its page.
        return match Close::instead_of(&problem) {
            Some(close) => Ok(hub.refuse(close)),
            None => Err(problem),
        };
    }
    if is_stream(&parts) {
        let detail = "this service has no server-sent events: connect by WebSocket, or poll";
        return Err(Problem::new(501, "unsupported", detail));
    }
    let request = Request::from_parts(parts, body);
    Ok(service::list::<E, H>.call(request, api).await)
}
