//! The frames of a WebSocket with a connection's events.

use tessera_connections::{Cursor, Event};

use super::client_event::{ClientEvent, Step, step};
use super::close::Close;

/// What a WebSocket sends for an event of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text frame.
    Text(String),
    /// The last text frame, after which the socket is closed.
    Last(String, Close),
    /// Nothing: the socket is closed.
    Close(Close),
}

/// The frames of one WebSocket.
#[derive(Clone, Debug)]
pub struct Frames {
    /// The last cursor of the stream.
    at: Cursor,
}

impl Frames {
    /// Begins after a place of a connection.
    pub fn new(at: Cursor) -> Self {
        Self { at }
    }

    /// Returns the frame of the next event.
    pub fn next(&mut self, event: Event) -> Frame {
        match step(&mut self.at, event) {
            Step::Send(event) => Frame::Text(text(&event)),
            Step::End(event, ending) => Frame::Last(text(&event), Close::after(ending)),
            Step::TryAgain => Frame::Close(Close::TRY_AGAIN),
        }
    }
}

/// The text of a frame with an event.
pub(super) fn text(event: &ClientEvent) -> String {
    // Three texts always are JSON.
    serde_json::to_string(event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tessera_connections::{EndReason, Entry, Message, MessageId};

    use super::*;

    #[test]
    fn a_frame_is_json_with_the_cursor_and_the_last_one_has_a_close_code() {
        let mut frames = Frames::new(Cursor {
            name: "a".parse().unwrap(),
            after: MessageId::START,
        });
        let id = MessageId { number: 7, stamp: 9 };
        let message = Message::new(None, "\u{1}\n").unwrap();
        let wanted = r#"{"event":"message","id":"a:7.00000009","data":"\u0001\n"}"#;
        assert_eq!(
            frames.next(Event::Message(Entry { id, message })),
            Frame::Text(wanted.into())
        );
        let Frame::Last(text, close) = frames.next(Event::End(EndReason::SessionOver)) else {
            panic!("an end is the last frame");
        };
        assert_eq!(
            (text.as_str(), close.code),
            (
                r#"{"event":"end","id":"a:7.00000009","data":"{\"reason\":\"session-over\"}"}"#,
                4401
            )
        );
        assert_eq!(frames.next(Event::TryAgain), Frame::Close(Close::TRY_AGAIN));
    }
}
