//! What a handle has changed since its snapshot: the list of dirty fields, and nothing else.

/// One change, its name and value as they stand in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Escaped, without quotes.
    pub name: Box<str>,
    /// `None` removes the field.
    pub value: Option<Box<str>>,
}

impl Change {
    /// Two quotes, a colon and a comma come with each field.
    fn bytes(&self) -> usize {
        self.name.len() + self.value.as_ref().map_or(0, |value| value.len()) + 4
    }
}

/// The changes of a handle, ordered by name.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    changes: Vec<Change>,
    bytes: usize,
    /// A save of these changes was not heard of: what they set may be stored.
    tried: bool,
}

impl Overlay {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.changes.binary_search_by(|change| (*change.name).cmp(name))
    }

    /// Notes a change over any earlier one of its field.
    pub fn put(&mut self, change: Change) {
        self.bytes += change.bytes();
        match self.find(&change.name) {
            Ok(index) => {
                self.bytes -= self.changes[index].bytes();
                self.changes[index] = change;
            }
            Err(index) => self.changes.insert(index, change),
        }
    }

    /// Notes that the changes may be stored already.
    pub fn note_try(&mut self) {
        self.tried = true;
    }

    /// Whether the change of a field may be stored already.
    pub fn may_be_stored(&self, name: &str) -> bool {
        self.tried && self.find(name).is_ok()
    }

    /// Removes all fields that are set here.
    pub fn clear(&mut self) {
        if !self.tried {
            self.changes.clear();
        }
        for change in &mut self.changes {
            change.value = None;
        }
        self.bytes = self.changes.iter().map(Change::bytes).sum();
    }

    /// Forgets the change of a field.
    pub fn drop_change(&mut self, name: &str) {
        if let Ok(index) = self.find(name) {
            self.bytes -= self.changes.remove(index).bytes();
        }
    }

    /// The change of a field: `Some(None)` if it is removed.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        let index = self.find(name).ok()?;
        Some(self.changes[index].value.as_deref())
    }

    /// All changes, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.changes
            .iter()
            .map(|change| (&*change.name, change.value.as_deref()))
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
