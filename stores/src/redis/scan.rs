//! Scans the names of keys, server by server.

use redis::cmd;
use tokio::time::Instant;

use super::digits::number;
use super::shared::Shared;
use super::wire::Node;
use crate::StoreError;

/// Scans one server for some names that begin with the prefix of the store and `kind`, and returns them with the next position.
pub(super) async fn scan(
    shared: &Shared,
    place: &Place,
    kind: &str,
    limit: u32,
    deadline: Instant,
) -> Result<(Vec<String>, Option<Place>), StoreError> {
    let nodes = shared.link.nodes(deadline).await?;
    // The next server by name if this one is gone: it was replaced, or its slots were moved to others.
    let Some(node) = nodes.iter().find(|node| node.name() >= place.node.as_str()) else {
        return Ok((Vec::new(), None));
    };
    let cursor = if node.name() == place.node {
        place.cursor
    } else {
        0
    };
    let mut command = cmd("SCAN");
    command
        .arg(cursor)
        .arg("MATCH")
        .arg(format!("{}{kind}*", literal(&shared.prefix)))
        .arg("COUNT")
        .arg(limit);
    let (cursor, names): (String, Vec<String>) = shared.link.ask_node(node, &command, deadline).await?;
    let next = match number(&cursor).ok_or(StoreError::Corrupt)? {
        0 => nodes
            .iter()
            .find(|other| other.name() > node.name())
            .map(|other| Place::at(other, 0)),
        cursor => Some(Place::at(node, cursor)),
    };
    Ok((names, next))
}

/// The position of a walk: a server, and a cursor of its `SCAN`.
#[derive(Default)]
pub(super) struct Place {
    node: String,
    cursor: u64,
}

impl Place {
    fn at(node: &Node, cursor: u64) -> Self {
        Self {
            node: node.name().to_owned(),
            cursor,
        }
    }

    pub(super) fn parse(cursor: &str) -> Result<Self, StoreError> {
        if cursor.is_empty() {
            return Ok(Self::default());
        }
        let place = cursor.rsplit_once('/').and_then(|(node, cursor)| {
            Some(Self {
                node: node.to_owned(),
                cursor: number(cursor)?,
            })
        });
        place.ok_or(StoreError::MalformedCursor)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.node, self.cursor)
    }
}

/// A pattern that matches exactly this text.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_for_itself_in_a_pattern() {
        assert_eq!(literal("shop:[a*]?\\"), "shop:\\[a\\*\\]\\?\\\\");
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let place = Place::parse("[::1]:6379/17").expect("a cursor");
        assert_eq!((place.node.as_str(), place.cursor), ("[::1]:6379", 17));
        assert_eq!(place.to_string(), "[::1]:6379/17");
        for cursor in ["17", "a/", "a/-1", "a/x"] {
            assert!(
                matches!(Place::parse(cursor), Err(StoreError::MalformedCursor)),
                "{cursor}"
            );
        }
    }
}
