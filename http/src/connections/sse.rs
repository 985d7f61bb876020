//! The text of server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use super::client_event::{ClientEvent, MESSAGE};

/// A comment, which shows a proxy and the client that the stream lives.
pub(super) const SIGN_OF_LIFE: &str = ":\n\n";

/// Writes one event.
pub(super) fn write(event: &ClientEvent) -> String {
    let ClientEvent { event, id, data } = event;
    let mut text = String::with_capacity(data.len() + 96);
    if event != MESSAGE {
        text.push_str("event: ");
        text.push_str(event);
        text.push('\n');
    }
    text.push_str("id: ");
    text.push_str(id);
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

/// Writes the pause before the client reconnects, in milliseconds. It precedes the first event.
pub(super) fn retry(pause: u32) -> String {
    format!("retry: {pause}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(event: &'static str, data: &str) -> String {
        write(&ClientEvent {
            event: event.into(),
            id: "C3yW7lRQWRB3orhnW1JzVg:7.00000009".into(),
            data: data.into(),
        })
    }

    #[test]
    fn a_message_has_its_cursor_and_one_line_for_each_of_its_own() {
        assert_eq!(
            of("tick", "a\n\nb\r\nc\rd"),
            "event: tick\nid: C3yW7lRQWRB3orhnW1JzVg:7.00000009\ndata: a\ndata: \ndata: b\ndata: c\ndata: d\n\n"
        );
        assert_eq!(
            of("message", ""),
            "id: C3yW7lRQWRB3orhnW1JzVg:7.00000009\ndata: \n\n"
        );
        // No line of a message is read as another field.
        assert!(of("message", "id: 1\nevent: x").contains("\ndata: id: 1\ndata: event: x\n"));
    }
}
