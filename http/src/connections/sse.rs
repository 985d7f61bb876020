//! The text of server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use tessera_connections::{Cursor, Event, MessageId, Name};

/// A comment, which shows a proxy and the client that the stream lives.
pub(super) const SIGN_OF_LIFE: &str = ":\n\n";

/// Writes one event. The id is the cursor after which the client continues.
fn write(event: Option<&str>, name: &Name, after: MessageId, data: &str) -> String {
    let cursor = Cursor {
        name: name.clone(),
        after,
    };
    let mut text = String::with_capacity(data.len() + 96);
    if let Some(event) = event {
        text.push_str("event: ");
        text.push_str(event);
        text.push('\n');
    }
    text.push_str("id: ");
    text.push_str(&cursor.to_string());
    text.push('\n');
    // A carriage return ends a line, too.
    let data = data.replace("\r\n", "\n");
    for line in data.split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Writes the first event of a stream: the connection's name, and whether the client has continued an earlier stream.
/// `retry` is the pause before the client reconnects, in milliseconds.
pub(super) fn opened(name: &Name, after: MessageId, is_resumed: bool, retry: u32) -> String {
    let data = format!("{{\"connection\":\"{name}\",\"resumed\":{is_resumed}}}");
    format!(
        "retry: {retry}\n{}",
        write(Some("connection"), name, after, &data)
    )
}

/// Writes an event of the connection, and whether the stream ends with it. `last` is the last cursor of the stream.
pub(super) fn event(name: &Name, last: &mut MessageId, event: Event) -> (String, bool) {
    match event {
        Event::Message(entry) => {
            *last = entry.id;
            let message = &entry.message;
            (write(message.event(), name, entry.id, message.data()), false)
        }
        Event::Gap(place) => {
            *last = place;
            (write(Some("gap"), name, place, "{}"), false)
        }
        Event::End(reason) => {
            let data = format!("{{\"reason\":\"{reason}\"}}");
            (write(Some("end"), name, *last, &data), true)
        }
        Event::TakenOver => (
            write(Some("end"), name, *last, "{\"reason\":\"taken-over\"}"),
            true,
        ),
        // The client reconnects by itself.
        Event::TryAgain => (String::from(":\n\n"), true),
    }
}

#[cfg(test)]
mod tests {
    use tessera_connections::{EndReason, Entry, Message};

    use super::*;

    fn name() -> Name {
        "C3yW7lRQWRB3orhnW1JzVg".parse().unwrap()
    }

    fn of(event_name: Option<&str>, data: &str) -> String {
        let id = MessageId { number: 7, stamp: 9 };
        let message = Message::new(event_name, data).unwrap();
        let mut last = MessageId::START;
        let (text, is_last) = event(&name(), &mut last, Event::Message(Entry { id, message }));
        assert!(!is_last && last == id);
        text
    }

    #[test]
    fn a_message_has_its_cursor_and_one_line_for_each_of_its_own() {
        assert_eq!(
            of(Some("tick"), "a\n\nb\r\nc\rd"),
            "event: tick\nid: C3yW7lRQWRB3orhnW1JzVg:7.00000009\ndata: a\ndata: \ndata: b\ndata: c\ndata: d\n\n"
        );
        assert_eq!(of(None, ""), "id: C3yW7lRQWRB3orhnW1JzVg:7.00000009\ndata: \n\n");
        // No line of a message is read as another field.
        assert!(of(None, "id: 1\nevent: x").contains("\ndata: id: 1\ndata: event: x\n"));
    }

    #[test]
    fn a_stream_begins_with_its_name_and_ends_with_a_reason_at_the_last_cursor() {
        assert_eq!(
            opened(&name(), MessageId::START, false, 1500),
            "retry: 1500\nevent: connection\nid: C3yW7lRQWRB3orhnW1JzVg:0.00000000\n\
             data: {\"connection\":\"C3yW7lRQWRB3orhnW1JzVg\",\"resumed\":false}\n\n"
        );
        let mut last = MessageId { number: 3, stamp: 1 };
        let (text, is_last) = event(&name(), &mut last, Event::End(EndReason::SessionOver));
        assert!(is_last);
        assert_eq!(
            text,
            "event: end\nid: C3yW7lRQWRB3orhnW1JzVg:3.00000001\ndata: {\"reason\":\"session-over\"}\n\n"
        );
        let (text, is_last) = event(&name(), &mut last, Event::Gap(MessageId { number: 5, stamp: 2 }));
        assert!(!is_last && text.contains("id: C3yW7lRQWRB3orhnW1JzVg:5.00000002\n"));
        assert!(
            event(&name(), &mut last, Event::TakenOver).1 && event(&name(), &mut last, Event::TryAgain).1
        );
    }
}
