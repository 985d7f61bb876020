//! The events of a stream as its client receives them, whatever the transport.

use std::borrow::Cow;

use serde::Serialize;
use tessera_connections::{Cursor, EndReason, Event};

/// The event of a message whose sender has named none.
pub(super) const MESSAGE: &str = "message";

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ClientEvent {
    pub(super) event: Cow<'static, str>,
    /// The cursor after which the client continues.
    pub(super) id: String,
    pub(super) data: String,
}

/// The step of a stream that an event of its connection causes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Sends an event.
    Send(ClientEvent),
    /// Sends the last event.
    End(ClientEvent, Ending),
    /// Ends without an event: the client reconnects.
    TryAgain,
}

/// The reason of the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The connection has ended.
    Ended(EndReason),
    /// The client has connected elsewhere.
    TakenOver,
}

impl Ending {
    /// The reason as the client receives it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ended(reason) => reason.as_str(),
            Self::TakenOver => "taken-over",
        }
    }
}

fn of(event: impl Into<Cow<'static, str>>, at: &Cursor, data: String) -> ClientEvent {
    ClientEvent {
        event: event.into(),
        id: at.to_string(),
        data,
    }
}

/// The first event of a stream: the connection's name, and whether the client has continued an earlier stream.
pub(super) fn opened(at: &Cursor, is_resumed: bool) -> ClientEvent {
    let data = format!("{{\"connection\":\"{}\",\"resumed\":{is_resumed}}}", at.name);
    of("connection", at, data)
}

/// The event that messages may be missing at this place.
pub(super) fn gap(at: &Cursor) -> ClientEvent {
    of("gap", at, "{}".to_owned())
}

/// The step that follows from an event of the connection. `at` is the last cursor of the stream.
pub(super) fn step(at: &mut Cursor, event: Event) -> Step {
    let ending = match event {
        Event::Message(entry) => {
            at.after = entry.id;
            let event = entry
                .message
                .event()
                .map_or(Cow::Borrowed(MESSAGE), |event| event.to_owned().into());
            return Step::Send(of(event, at, entry.message.data().to_owned()));
        }
        Event::Gap(place) => {
            at.after = place;
            return Step::Send(gap(at));
        }
        Event::End(reason) => Ending::Ended(reason),
        Event::TakenOver => Ending::TakenOver,
        Event::TryAgain => return Step::TryAgain,
    };
    let data = format!("{{\"reason\":\"{}\"}}", ending.as_str());
    Step::End(of("end", at, data), ending)
}

#[cfg(test)]
mod tests {
    use tessera_connections::{Entry, Message, MessageId};

    use super::*;

    const NAME: &str = "C3yW7lRQWRB3orhnW1JzVg";

    fn start() -> Cursor {
        Cursor {
            name: NAME.parse().unwrap(),
            after: MessageId::START,
        }
    }

    fn event(event: &'static str, id: &str, data: &str) -> ClientEvent {
        ClientEvent {
            event: event.into(),
            id: format!("{NAME}:{id}"),
            data: data.into(),
        }
    }

    #[test]
    fn a_stream_begins_with_its_name_and_each_event_has_the_cursor_after_which_the_client_continues() {
        let mut at = start();
        let data = format!("{{\"connection\":\"{NAME}\",\"resumed\":true}}");
        assert_eq!(opened(&at, true), event("connection", "0.00000000", &data));
        for (number, name, shown) in [(7, Some("tick"), "tick"), (8, None, "message")] {
            let id = MessageId { number, stamp: 9 };
            let message = Message::new(name, "a\r\nb").unwrap();
            let wanted = event(shown, &format!("{number}.00000009"), "a\r\nb");
            assert_eq!(
                step(&mut at, Event::Message(Entry { id, message })),
                Step::Send(wanted)
            );
            assert_eq!(at.after, id);
        }
        let gap = Event::Gap(MessageId { number: 5, stamp: 2 });
        assert_eq!(step(&mut at, gap), Step::Send(event("gap", "5.00000002", "{}")));
    }

    #[test]
    fn a_stream_ends_with_a_reason_at_the_last_cursor_or_without_an_event() {
        let mut at = start();
        at.after = MessageId { number: 3, stamp: 1 };
        for (last, ending, reason) in [
            (
                Event::End(EndReason::SessionOver),
                Ending::Ended(EndReason::SessionOver),
                "session-over",
            ),
            (Event::TakenOver, Ending::TakenOver, "taken-over"),
        ] {
            let wanted = event("end", "3.00000001", &format!("{{\"reason\":\"{reason}\"}}"));
            assert_eq!(step(&mut at, last), Step::End(wanted, ending));
        }
        assert_eq!(step(&mut at, Event::TryAgain), Step::TryAgain);
    }
}
