//! The body of a stream of server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tessera_connections::Cursor;

use super::client_event::{Step, step};
use super::hub::{Served, StreamClient};
use super::sse;

/// A client, with its next event.
pub(super) type Waiting<C> = Pin<Box<dyn Future<Output = (C, Option<Served>)> + Send>>;

/// A stream of events. Its drop, when the socket closes, detaches the client.
pub(super) struct EventStream<C> {
    /// The last cursor of the stream.
    at: Cursor,
    first: Option<String>,
    /// The client, with its next event. `None` after the last event.
    waiting: Option<Waiting<C>>,
}

/// Waits for the next event of a client.
pub(super) fn wait<C: StreamClient>(mut client: C) -> Waiting<C> {
    Box::pin(async move {
        let served = client.next().await;
        (client, served)
    })
}

impl<C: StreamClient> EventStream<C> {
    /// Creates the stream of an attached client, which begins with `first`.
    pub(super) fn new(client: C, at: Cursor, first: String) -> Self {
        Self {
            at,
            first: Some(first),
            waiting: Some(wait(client)),
        }
    }
}

impl<C: StreamClient> Body for EventStream<C> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first.into()))));
        }
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(None);
        };
        let (client, served) = ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        let Some(served) = served else {
            return Poll::Ready(None);
        };
        let (text, is_last) = match served {
            Served::Idle => (sse::SIGN_OF_LIFE.to_owned(), false),
            Served::Event(event) => match step(&mut self.at, event) {
                Step::Send(event) => (sse::write(&event), false),
                Step::End(event, _) => (sse::write(&event), true),
                // The client reconnects by itself.
                Step::TryAgain => (sse::SIGN_OF_LIFE.to_owned(), true),
            },
        };
        if !is_last {
            self.waiting = Some(wait(client));
        }
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}
