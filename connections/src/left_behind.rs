//! Connections that their clients have left behind, and which count towards the maximum of their session.

use std::time::Duration;

use tessera_contract::Timestamp;

use crate::event::Connection;
use crate::texts::Name;

/// The age from which an entry of the registry without a mailbox is one that was left behind.
const WITHOUT_MAILBOX: Duration = Duration::from_secs(60);
/// The part of the life of a mailbox without a client in which a new connection waits for its client.
const FIRST_PART: u32 = 8;

/// An entry of the registry: a connection of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The connection's name.
    pub name: Name,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// Returns the entries whose connections are gone. `there`: the names of the mailboxes that exist.
pub fn gone<'a>(entries: &'a [Registered], there: &[&Name], now: Timestamp) -> Vec<&'a Name> {
    let before = now.saturating_sub(WITHOUT_MAILBOX);
    let names = entries
        .iter()
        .filter(|entry| entry.created_at <= before && !there.contains(&&entry.name));
    names.map(|entry| &entry.name).collect()
}

/// Returns the oldest connection that has ended; if there is none, the oldest one that is without a client and has had the time to
/// attach one.
///
/// `detached_for` is the life of a mailbox without a client.
pub fn left_behind<'a>(
    entries: &'a [Registered],
    connections: &[Connection],
    now: Timestamp,
    detached_for: Duration,
) -> Option<&'a Name> {
    let before = now.saturating_sub(detached_for / FIRST_PART);
    let left = entries.iter().filter_map(|entry| {
        let mut named = connections.iter();
        let connection = named.find(|connection| connection.name == entry.name)?;
        let is_open = connection.ended.is_none();
        let is_left = !is_open || (!connection.is_attached && entry.created_at <= before);
        is_left.then_some((is_open, entry))
    });
    let oldest = left.min_by_key(|(is_open, entry)| (*is_open, entry.created_at));
    oldest.map(|(_, entry)| &entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Head, Request};
    use crate::message::EndReason;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const DETACHED_FOR: Duration = Duration::from_secs(80);

    fn entry(name: &str, age_seconds: u64) -> Registered {
        Registered {
            name: name.parse().unwrap(),
            created_at: NOW.saturating_sub(Duration::from_secs(age_seconds)),
        }
    }

    fn connection(name: &str, is_attached: bool, ended: Option<EndReason>) -> Connection {
        Connection {
            name: name.parse().unwrap(),
            head: Head {
                session: "s".into(),
                subject: None,
                prefix: String::new(),
                kind: String::new(),
                created_at: NOW,
                authenticated_at: None,
                ends_at: NOW,
                request: Request::default(),
            },
            is_attached,
            ended,
        }
    }

    #[test]
    fn an_entry_without_a_mailbox_is_gone_after_a_minute() {
        let entries = [entry("a", 60), entry("b", 59), entry("c", 60)];
        let there = entry("c", 0).name;
        assert_eq!(gone(&entries, &[&there], NOW), [&entries[0].name]);
    }

    #[test]
    fn the_oldest_connection_without_a_client_makes_room_and_an_attached_one_never() {
        let left = |entries: &[Registered], connections: &[Connection]| {
            left_behind(entries, connections, NOW, DETACHED_FOR).map(ToString::to_string)
        };
        let entries = [entry("a", 90), entry("b", 10), entry("c", 11), entry("d", 9)];
        let away = |name| connection(name, false, None);
        let attached = connection("a", true, None);
        assert_eq!(
            left(&entries, &[attached.clone(), away("b"), away("c"), away("d")]),
            Some("c".into())
        );
        assert_eq!(left(&entries, &[attached.clone(), away("d")]), None);
        let ended = connection("d", false, Some(EndReason::Closed));
        assert_eq!(left(&entries, &[attached, ended.clone()]), Some("d".into()));
        // A client that is away may come back.
        assert_eq!(left(&entries, &[away("a"), ended]), Some("d".into()));
    }
}
