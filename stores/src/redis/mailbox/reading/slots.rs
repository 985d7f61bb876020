//! The servers of a Cluster, by the slots of their keys.
//! <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::super::super::wire::Node;

/// The number of slots of a Cluster.
const SLOTS: u16 = 16_384;

/// The server of each slot.
#[derive(Default)]
pub(super) struct Slots {
    /// By slot, the server's position in `nodes`; empty if the Cluster was never read.
    places: Vec<u16>,
    nodes: Vec<Arc<Node>>,
}

/// The slot of a key: that of its first part in braces, if there is one.
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tag.map_or(key, |(tag, _)| if tag.is_empty() { key } else { tag });
    crc16::State::<crc16::XMODEM>::calculate(hashed.as_bytes()) % SLOTS
}

impl Slots {
    /// Creates the map of these ranges. A slot that no range has is that of the first server, which redirects its callers.
    pub(super) fn new(mut ranges: Vec<(RangeInclusive<u16>, Node)>) -> Self {
        // Each server answers in an order of its own.
        ranges.sort_by_key(|(range, _)| *range.start());
        let mut known = HashMap::new();
        let mut slots = Self {
            places: vec![0; usize::from(SLOTS)],
            nodes: Vec::new(),
        };
        for (range, node) in ranges {
            let place = *known.entry(node.name().to_owned()).or_insert_with(|| {
                slots.nodes.push(Arc::new(node));
                u16::try_from(slots.nodes.len() - 1).unwrap_or(0)
            });
            for slot in range {
                if let Some(of_slot) = slots.places.get_mut(usize::from(slot)) {
                    *of_slot = place;
                }
            }
        }
        slots
    }

    /// The server of a key; `None` if the Cluster was never read.
    pub(super) fn of(&self, key: &str) -> Option<&Arc<Node>> {
        let place = self.places.get(usize::from(slot(key)))?;
        self.nodes.get(usize::from(*place))
    }

    /// Whether each slot has the same server.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let names = |slots: &Self| -> Vec<String> {
            let names = slots.nodes.iter().map(|node| node.name().to_owned());
            names.collect()
        };
        self.places == other.places && names(self) == names(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16) -> Node {
        Node::new("10.0.0.1".to_owned(), port)
    }

    /// The values are those of `CLUSTER KEYSLOT`.
    #[test]
    fn a_key_has_the_slot_that_redis_computes() {
        for (key, expected) in [
            ("", 0),
            ("foo", 12_182),
            ("{foo}bar", 12_182),
            ("a{foo}{bar}", 12_182),
            ("123456789", 12_739),
        ] {
            assert_eq!(slot(key), expected, "{key}");
        }
        // Empty braces are part of the key.
        assert_ne!(slot("{}foo"), slot("foo"));
    }

    #[test]
    fn each_slot_has_the_server_of_its_range() {
        let slots = Slots::new(vec![
            (0..=8191, node(1)),
            (8192..=12_181, node(2)),
            (12_182..=16_383, node(1)),
        ]);
        assert_eq!(slots.of("foo").map(|node| node.port), Some(1));
        assert_eq!(slots.nodes.len(), 2);
        let moved = Slots::new(vec![(0..=8191, node(1)), (8192..=16_383, node(2))]);
        assert_eq!(moved.of("foo").map(|node| node.port), Some(2));
        assert!(!slots.is_as(&moved) && slots.is_as(&slots));
        assert!(Slots::default().of("foo").is_none());
    }
}
