//! An operator's listing of Redis: every record, server by server.

use futures_util::future::join_all;
use redis::cmd;

use super::RedisStore;
use super::digits::number;
use super::wire::Node;
use crate::{Listed, Listing, StoreError};
use tessera_contract::Timestamp;
use tessera_contract::store::check_limit;

/// The maximum number of scans for one page: if most keys belong to other services, a page may have few rows or none.
const EMPTY_SCANS: usize = 100;

impl RedisStore {
    /// Lists live entries with and without an owner, for an operator: about `limit` (1 to 100) from `cursor` on.
    ///
    /// The empty cursor starts a walk. A walk scans all keys (`SCAN`), also those of other services.
    ///
    /// An entry that exists throughout a walk is listed at least once, and sometimes twice.
    /// In a Cluster, an entry may be omitted if its slot is moved or its server is replaced during the walk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Other`] for an invalid limit, [`StoreError::MalformedCursor`], [`StoreError::Corrupt`] if one of
    /// the records cannot be read, and the errors of a read.
    pub async fn list_all(&self, now: Timestamp, cursor: &str, limit: u32) -> Result<Listing, StoreError> {
        check_limit(limit)?;
        let mut place = Place::parse(cursor)?;
        let mut rows = Vec::new();
        for _ in 0..EMPTY_SCANS {
            let (names, next) = self.scan(now, &place, limit).await?;
            let found = join_all(names.iter().map(|name| self.listed(now, name))).await;
            for row in found {
                rows.extend(row?);
            }
            match next {
                None => return Ok(Listing { rows, next: None }),
                Some(next) => place = next,
            }
            if rows.len() >= limit as usize {
                break;
            }
        }
        Ok(Listing {
            rows,
            next: Some(place.to_string()),
        })
    }

    /// Scans one server for some names of records, and returns them with the next position.
    async fn scan(
        &self,
        now: Timestamp,
        place: &Place,
        limit: u32,
    ) -> Result<(Vec<String>, Option<Place>), StoreError> {
        let asked = self.asked(now);
        let nodes = self.shared.link.nodes(asked.deadline).await?;
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
            .arg(format!("{}record:*", literal(&self.shared.prefix)))
            .arg("COUNT")
            .arg(limit);
        let (cursor, names): (String, Vec<String>) =
            self.shared.link.ask_node(node, &command, asked.deadline).await?;
        let next = match number(&cursor).ok_or(StoreError::Corrupt)? {
            0 => nodes
                .iter()
                .find(|other| other.name() > node.name())
                .map(|other| Place::at(other, 0)),
            cursor => Some(Place::at(node, cursor)),
        };
        Ok((names, next))
    }

    async fn listed(&self, now: Timestamp, name: &str) -> Result<Option<Listed>, StoreError> {
        let asked = self.asked(now);
        let key = name.get(self.shared.prefix.len() + "record:".len()..);
        let key = key.ok_or(StoreError::Corrupt)?;
        let Some(beginning) = asked.record(key).beginning().await? else {
            return Ok(None);
        };
        let (head, value) = beginning.read()?;
        if head.expires_at <= now {
            return Ok(None);
        }
        Ok(Some(Listed {
            key: key.to_owned(),
            owner: head.listed.map(|(owner, _)| owner.to_owned()),
            version: head.version,
            guard: head.guard,
            touched_at: head.touched_at,
            expires_at: head.expires_at,
            ends_at: head.ends_at,
            value,
        }))
    }
}

/// The position of a walk: a server, and a cursor of its `SCAN`.
#[derive(Default)]
struct Place {
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

    fn parse(cursor: &str) -> Result<Self, StoreError> {
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
pub(super) fn literal(text: &str) -> String {
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
