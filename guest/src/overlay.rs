//! What a handle has changed since its snapshot: the list of dirty fields, and nothing else.

use std::collections::BTreeMap;

/// One change, its name and value as they stand in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Escaped, without quotes.
    pub name: Box<str>,
    /// `None` removes the field.
    pub value: Option<Box<str>>,
}

/// The changes of a handle, ordered by name.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    changes: BTreeMap<Box<str>, Option<Box<str>>>,
    bytes: usize,
}

impl Overlay {
    /// Notes a change over any earlier one of its field.
    pub fn put(&mut self, change: Change) {
        self.drop_change(&change.name);
        self.bytes += weigh(&change.name, change.value.as_deref());
        self.changes.insert(change.name, change.value);
    }

    /// Forgets the change of a field.
    pub fn drop_change(&mut self, name: &str) {
        if let Some(old) = self.changes.remove(name) {
            self.bytes -= weigh(name, old.as_deref());
        }
    }

    /// The change of a field: `Some(None)` if it is removed.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.changes.get(name).map(Option::as_deref)
    }

    /// All changes, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.changes.iter().map(|(name, value)| (&**name, value.as_deref()))
    }

    /// How many fields are changed.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes that names and values take in a record.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Two quotes, a colon and a comma come with each field.
fn weigh(name: &str, value: Option<&str>) -> usize {
    name.len() + value.map_or(0, str::len) + 4
}
