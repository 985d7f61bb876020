//! What the client of a connection has received. Every message must arrive once and in order, unless a gap covers it.

use serde::Deserialize;
use serde_json::Value;

/// An event, as a client reads it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Delivered {
    pub(crate) event: String,
    /// A cursor.
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Delivered {
    /// Reads the text of a server-sent event; `None` for a sign of life.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let mut read = Self {
            event: "message".to_owned(),
            ..Self::default()
        };
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut read.event),
                Some(("id", cursor)) => cursor.clone_into(&mut read.id),
                Some(("data", data)) => data.clone_into(&mut read.data),
                _ => {}
            }
        }
        (!read.id.is_empty()).then_some(read)
    }
}

/// The events of one connection. Its sender numbers the messages from 1 on: the number is the first word of the data.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The connection's name.
    pub(crate) name: String,
    /// The id of the last event.
    pub(crate) cursor: String,
    /// The number of the last message by its sender.
    pub(crate) received: u64,
    /// The number of gaps.
    pub(crate) gaps: u64,
    /// The reason of the end.
    pub(crate) end: Option<String>,
    /// The number of the last message in the mailbox, as its id says.
    last: u64,
}

impl Inbox {
    /// Takes an event.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn take(&mut self, delivered: Delivered) -> Result<(), String> {
        let Delivered { event, id, data } = delivered;
        if self.end.is_some() {
            return Err(format!("{event} after the end"));
        }
        let place = id.rsplit_once(':').and_then(|(_, place)| place.split_once('.'));
        let number: u64 = place
            .and_then(|(number, _)| number.parse().ok())
            .unwrap_or_default();
        let member = |name: &str| -> String {
            let members: Value = serde_json::from_str(&data).unwrap_or_default();
            members[name].as_str().unwrap_or_default().to_owned()
        };
        let taken = match event.as_str() {
            "connection" => {
                let name = member("connection");
                if !self.name.is_empty() && name != self.name {
                    return Err("the connection is gone".into());
                }
                self.name = name;
                Ok(())
            }
            "gap" => {
                self.gaps += 1;
                self.last = number;
                Ok(())
            }
            "end" => {
                let reason = member("reason");
                if reason != "taken-over" {
                    self.end = Some(reason);
                }
                Ok(())
            }
            _ => self.message(&event, number, &data),
        };
        self.cursor = id;
        taken
    }

    fn message(&mut self, event: &str, number: u64, data: &str) -> Result<(), String> {
        let mut taken = Ok(());
        if number != self.last + 1 {
            taken = Err(format!("message {number} follows {}", self.last));
        }
        self.last = number;
        // Other events are messages to many connections, which nobody numbers.
        if event == "message" {
            let sent = data.split(' ').next().and_then(|number| number.parse().ok());
            let sent: u64 = sent.unwrap_or_default();
            if sent != self.received + 1 && self.gaps == 0 {
                taken = Err(format!("{sent} follows {} without a gap", self.received));
            }
            self.received = sent;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(inbox: &mut Inbox, event: &str, number: u64, data: &str) -> Result<(), String> {
        inbox.take(Delivered {
            event: event.into(),
            id: format!("name:{number}.00000000"),
            data: data.into(),
        })
    }

    #[test]
    fn an_inbox_finds_what_is_missing_or_arrives_twice() {
        let mut inbox = Inbox::default();
        assert_eq!(
            took(&mut inbox, "connection", 0, r#"{"connection":"name"}"#),
            Ok(())
        );
        assert_eq!(took(&mut inbox, "message", 1, "1 text"), Ok(()));
        assert_eq!(took(&mut inbox, "notice", 2, "text"), Ok(()));
        assert!(took(&mut inbox, "message", 3, "1 text").is_err(), "twice");
        assert!(
            took(&mut inbox, "message", 5, "2 text").is_err(),
            "another is missing"
        );
        assert_eq!(took(&mut inbox, "message", 6, "3 text"), Ok(()));
        assert!(took(&mut inbox, "message", 7, "5 text").is_err(), "skipped");
        assert_eq!(took(&mut inbox, "gap", 9, "{}"), Ok(()));
        assert_eq!(took(&mut inbox, "message", 10, "9 text"), Ok(()));
        assert_eq!(took(&mut inbox, "end", 10, r#"{"reason":"taken-over"}"#), Ok(()));
        assert!(took(&mut inbox, "connection", 10, r#"{"connection":"other"}"#).is_err());
        assert_eq!(took(&mut inbox, "end", 10, r#"{"reason":"closed"}"#), Ok(()));
        assert!(
            took(&mut inbox, "message", 11, "10 text").is_err(),
            "after the end"
        );
        assert_eq!((inbox.end.as_deref(), inbox.gaps), (Some("closed"), 1));
    }
}
