//! The server-sent events of a connection.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde_json::Value;
use tessera::Session;
use tessera::connections::{Attachment, Cursor, Event};
use tessera::store::RedisMailbox;
use tokio::runtime::Handle;

/// The interval of the signs of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The end of a stream.
pub(crate) enum Until {
    /// It stays open until the connection ends.
    Ended,
    /// It ends with the response to this request.
    Response(Lone),
}

/// A request with a session of its own, which ends with the stream, and not before: a stream delivers nothing after the end of its
/// session.
pub(crate) struct Lone {
    pub(crate) id: Value,
    pub(crate) session: Session,
}

impl Drop for Lone {
    fn drop(&mut self) {
        // The stream is dropped on the runtime that serves it.
        if let (Ok(runtime), Ok(session)) = (Handle::try_current(), self.session.fork()) {
            runtime.spawn(async move {
                // In an outage, the session ends by its idle timeout.
                let _ = session.destroy().await;
            });
        }
    }
}

/// Sends the messages of a connection. Each event has a cursor as its id, with which a client of 2025 continues.
///
/// MCP has no event for a gap: its client learns nothing of it, as with any other server.
pub(crate) fn stream(client: Attachment<RedisMailbox>, until: Until) -> Response {
    let events = unfold(Some((client, until)), |state| async move {
        let (mut client, until) = state?;
        loop {
            match client.next().await? {
                Event::Message(entry) => {
                    let name = client.name().clone();
                    let after = entry.id;
                    let data = entry.message.data();
                    let event = Sent::default().id(Cursor { name, after }.to_string()).data(data);
                    let is_last = match &until {
                        Until::Ended => false,
                        Until::Response(request) => is_response(data, &request.id),
                    };
                    let rest = (!is_last).then_some((client, until));
                    return Some((Ok::<_, Infallible>(event), rest));
                }
                Event::Gap(_) => {}
                Event::End(_) | Event::TakenOver | Event::TryAgain => return None,
            }
        }
    });
    let sign_of_life = KeepAlive::new().interval(SIGN_OF_LIFE);
    // Without it, nginx buffers the response.
    let unbuffered = [("x-accel-buffering", "no")];
    (unbuffered, Sse::new(events).keep_alive(sign_of_life)).into_response()
}

fn is_response(data: &str, id: &Value) -> bool {
    let message: Value = serde_json::from_str(data).unwrap_or_default();
    message.get("method").is_none() && message.get("id") == Some(id)
}
