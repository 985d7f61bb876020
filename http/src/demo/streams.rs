//! The streams of the demonstration's pages: messages from other tabs, and the end of the session.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use tessera_connections::Message;

use crate::connections::{Hub, StreamClient, open_stream};
use crate::engine::Engine;
use crate::problem::Problem;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// The number of pages that were reached.
type Reached = Boxed<Result<usize, Problem>>;

/// The connections of the demonstration, whatever their host.
pub(super) struct Streams {
    open: Box<dyn Fn(String, Parts) -> Boxed<Response> + Send + Sync>,
    send: Box<dyn Fn(String, Message) -> Reached + Send + Sync>,
    end: Box<dyn Fn(String) -> Boxed<()> + Send + Sync>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}

impl Streams {
    pub(super) fn of<E: Engine, H: Hub<E, Client: StreamClient>>(engine: &E, hub: &Arc<H>) -> Self {
        let (engine, opening, sending, ending) =
            (engine.clone(), Arc::clone(hub), Arc::clone(hub), Arc::clone(hub));
        Self {
            open: Box::new(move |token, parts| {
                let (engine, hub) = (engine.clone(), Arc::clone(&opening));
                Box::pin(async move {
                    match open_stream(&engine, &*hub, &token, &parts).await {
                        Ok(response) => response,
                        Err(problem) => problem.into_response(),
                    }
                })
            }),
            send: Box::new(move |subject, message| {
                let hub = Arc::clone(&sending);
                Box::pin(async move { send_to::<E, H>(&hub, &subject, &message).await })
            }),
            end: Box::new(move |session| {
                let hub = Arc::clone(&ending);
                Box::pin(async move {
                    if let Err(error) = hub.close_session(&session).await {
                        // They end at the next beat.
                        tracing::debug!("streams were not closed: {}", Problem::from(error).code());
                    }
                })
            }),
        }
    }

    /// Opens the stream of a page.
    pub(super) async fn open(&self, token: &str, parts: Parts) -> Response {
        (self.open)(token.to_owned(), parts).await
    }

    /// Sends a message to all open pages of a subject; returns their number.
    pub(super) async fn send(&self, subject: &str, message: Message) -> Result<usize, Problem> {
        (self.send)(subject.to_owned(), message).await
    }

    /// Ends the streams of a session that has ended.
    pub(super) async fn end(&self, session: String) {
        (self.end)(session).await;
    }
}

async fn send_to<E: Engine, H: Hub<E>>(hub: &H, subject: &str, message: &Message) -> Result<usize, Problem> {
    let (mut cursor, mut reached) = (None, 0);
    loop {
        let (connections, next) = hub.of_subject(subject, cursor.as_deref()).await?;
        for connection in connections.iter().filter(|connection| connection.ended.is_none()) {
            reached += usize::from(hub.send(&connection.name, message, None).await.is_ok());
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(reached),
        }
    }
}
