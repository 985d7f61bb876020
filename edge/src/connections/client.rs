//! The client of a connection, as a request of an isolate has it.

use std::time::Duration;

use tessera_connections::{Event, Holder, MessageId, Name};
use tessera_http::chain;
use tessera_http::connections::Client;

use super::mailbox::DurableMailbox;
use crate::boxed::boxed;

/// A client that has joined: it polls, or its socket is handed over to the connection's object.
pub(crate) struct EdgeClient {
    pub(super) mailbox: DurableMailbox,
    pub(super) name: Name,
    pub(super) holder: Holder,
    pub(super) after: MessageId,
}

impl Client for EdgeClient {
    async fn next_batch(&mut self, wait: Duration) -> Vec<Event> {
        let polled = boxed(self.mailbox.poll(&self.name, self.holder, self.after, wait)).await;
        match polled {
            Ok(deliveries) => deliveries.into_iter().map(Event::from).collect(),
            Err(error) => {
                // The client polls again after the same message, and receives the error of that call.
                tracing::debug!("a poll has failed: {}", chain(&error));
                Vec::new()
            }
        }
    }
}
