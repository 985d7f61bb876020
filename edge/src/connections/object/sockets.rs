//! The socket of a connection's client.
//!
//! **Invariant.** The socket of the holder has been sent all messages of the mailbox, because each append sends its own.

use tessera_connections::{Cursor, Event, Holder, Limit, MailboxError, MessageId, Reader};
use tessera_contract::Timestamp;
use tessera_http::connections::{Close, Frame, Frames};
use wasm_bindgen::prelude::*;
use worker::WebSocket;

use super::super::protocol::Accepted;
use super::super::settings::{BOUNDS, LEASE, MAXIMUM_CLOSING, MAXIMUM_SENT_BYTES};
use super::{ConnectionObject, Inner};
use crate::clock;

#[wasm_bindgen(raw_module = "./socket.js")]
extern "C" {
    #[wasm_bindgen(js_name = closeSocket)]
    fn close_socket(socket: &web_sys::WebSocket, code: u16, reason: &str);
}

#[wasm_bindgen]
impl ConnectionObject {
    /// Accepts the socket of a client that has joined. `accepted` is the text of its description.
    ///
    /// # Errors
    /// If the description cannot be read, or the storage fails.
    pub fn accept(&self, socket: web_sys::WebSocket, accepted: &str) -> Result<(), JsError> {
        let accepted: Accepted = serde_json::from_str(accepted)?;
        Ok(self.inner.accept(&socket.into(), &accepted)?)
    }

    /// A client has sent a message, which is none of its tasks.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn received(&self, socket: web_sys::WebSocket) -> Result<(), JsError> {
        close(&socket.clone().into(), Close::UNSUPPORTED);
        self.gone(socket)
    }

    /// A socket was closed by its client, or has failed.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn closed(&self, socket: web_sys::WebSocket, code: u16, reason: &str) -> Result<(), JsError> {
        close_socket(&socket, code, reason);
        self.gone(socket)
    }
}

impl ConnectionObject {
    fn gone(&self, socket: web_sys::WebSocket) -> Result<(), JsError> {
        match self.inner.holder_of(&socket.into()) {
            Some(holder) => Ok(self.inner.detach(holder)?),
            None => Ok(()),
        }
    }
}

/// Closes a socket. One that cannot be closed is closed already.
fn close(socket: &WebSocket, Close { code, reason }: Close) {
    let _closed_already = socket.close(Some(code), Some(reason));
}

/// Sends a text. A socket that cannot be sent to reports its end.
fn send(socket: &WebSocket, text: &str) {
    let _gone = socket.send_with_str(text);
}

/// Sends a frame, and returns its size; `None` if no other follows.
fn send_frame(socket: &WebSocket, frame: Frame) -> Option<usize> {
    match frame {
        Frame::Text(text) => {
            send(socket, &text);
            Some(text.len())
        }
        Frame::Last(text, reason) => {
            send(socket, &text);
            close(socket, reason);
            None
        }
        Frame::Close(reason) => {
            close(socket, reason);
            None
        }
    }
}

impl Inner {
    /// The sockets of a holder: one, or none.
    fn sockets_of(&self, holder: Holder) -> Vec<WebSocket> {
        self.state.get_websockets_with_tag(&holder.to_string())
    }

    /// The holder whose socket this is.
    fn holder_of(&self, socket: &WebSocket) -> Option<Holder> {
        self.state.get_tags(socket).first()?.parse().ok()
    }

    /// Whether the client of a holder has gone without notice: an object that is moved or updated loses its sockets.
    pub(super) fn is_gone(&self, holder: Holder) -> bool {
        self.sockets_of(holder).is_empty() && !self.changes.is_awaited()
    }

    /// Whether the holder's client has a socket.
    pub(super) fn has_socket(&self, holder: Option<Holder>) -> bool {
        holder.is_some_and(|holder| !self.sockets_of(holder).is_empty())
    }

    fn accept(&self, socket: &WebSocket, accepted: &Accepted) -> Result<(), MailboxError> {
        let now = clock::now();
        self.state
            .accept_websocket_with_tags(socket, &[&accepted.holder.to_string()]);
        // Clients that joined at the same time saw no socket of one another.
        if self.others(Some(accepted.holder)) > MAXIMUM_CLOSING {
            close(socket, Close::TRY_AGAIN);
            return self.detach(accepted.holder);
        }
        accepted.first.iter().for_each(|frame| send(socket, frame));
        if self.send_after(now, socket, accepted.holder, accepted.after)? {
            self.rows.accepted(now, now.saturating_add(LEASE))?;
            self.set_alarm()?;
        }
        Ok(())
    }

    /// Sends what follows a message; returns whether more may follow.
    fn send_after(
        &self,
        now: Timestamp,
        socket: &WebSocket,
        holder: Holder,
        after: MessageId,
    ) -> Result<bool, MailboxError> {
        let Ok(stored) = self.rows.live(now) else {
            close(socket, Close::TRY_AGAIN);
            return Ok(false);
        };
        let name = stored.name;
        let mut frames = Frames::new(Cursor { name, after });
        let mut reader = Reader::new(holder, after);
        let mut sent = 0;
        loop {
            let batch = self.rows.read(now, reader.after(), Limit::default())?;
            let is_last = batch.is_last;
            for delivery in reader.take(batch) {
                match send_frame(socket, frames.next(delivery.into())) {
                    Some(bytes) => sent += bytes as u64,
                    None => return Ok(false),
                }
            }
            if is_last {
                break;
            }
        }
        // Nothing shows what the client has received, so that what was sent counts.
        let (through, replay) = (reader.after(), BOUNDS.replay_messages);
        let sent = self.rows.acknowledge_sent(now, holder, through, replay, sent)?;
        if sent > MAXIMUM_SENT_BYTES {
            close(socket, Close::TRY_AGAIN);
            self.detach(holder)?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Sends what the holder's socket has not been sent, and wakes a poll.
    pub(super) fn deliver(&self, now: Timestamp) -> Result<(), MailboxError> {
        self.changes.note();
        let Ok(stored) = self.rows.live(now) else {
            return Ok(());
        };
        let Some(holder) = stored.state.holder else {
            return Ok(());
        };
        let sockets = self.sockets_of(holder);
        if sockets.is_empty() && stored.has_accepted && stored.state.ended.is_none() {
            // The object was moved or updated, and has lost the socket.
            return self.detach(holder);
        }
        for socket in sockets {
            let sent = self.rows.sent(&stored.state)?;
            self.send_after(now, &socket, holder, sent)?;
        }
        Ok(())
    }

    /// The number of sockets of other holders, which are closing.
    pub(super) fn others(&self, holder: Option<Holder>) -> usize {
        let sockets = self.state.get_websockets();
        sockets
            .iter()
            .filter(|socket| self.holder_of(socket) != holder)
            .count()
    }

    /// Closes the sockets of other holders.
    pub(super) fn take_over(&self, holder: Holder) -> Result<(), MailboxError> {
        for socket in self.state.get_websockets() {
            if self.holder_of(&socket) != Some(holder) {
                self.send_last(&socket, Event::TakenOver)?;
            }
        }
        Ok(())
    }

    /// Closes all sockets, whose clients come back.
    pub(super) fn send_away(&self) -> Result<(), MailboxError> {
        for socket in self.state.get_websockets() {
            self.send_last(&socket, Event::TryAgain)?;
        }
        Ok(())
    }

    fn send_last(&self, socket: &WebSocket, event: Event) -> Result<(), MailboxError> {
        if let Some(stored) = self.rows.find()? {
            let after = self.rows.sent(&stored.state)?;
            let name = stored.name;
            send_frame(socket, Frames::new(Cursor { name, after }).next(event));
        }
        Ok(())
    }
}
