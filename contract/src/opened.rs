//! An open session, as the engine returned it, and its fields.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::index::Index;
use crate::json::{Fault, Scanner};
use crate::state::StateError;
use crate::{Details, Timestamp};

/// The fields of a record, read in place. The record's text is shared, not copied.
pub struct Fields {
    record: Arc<str>,
    at: usize,
    index: OnceLock<Result<Index, Fault>>,
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").finish_non_exhaustive()
    }
}

impl Fields {
    /// Creates the fields of a record. Their JSON object begins at byte `at` and ends before the record's last byte.
    ///
    /// Returns `None` if there is no object at this place.
    pub fn new(record: Arc<str>, at: usize) -> Option<Self> {
        let text = record.get(at..record.len().checked_sub(1)?)?;
        if !(text.starts_with('{') && text.ends_with('}')) {
            return None;
        }
        Some(Self {
            record,
            at,
            index: OnceLock::new(),
        })
    }

    /// Returns all fields as one JSON object.
    pub fn text(&self) -> &str {
        // `new` has checked the range.
        self.record.get(self.at..self.record.len() - 1).unwrap_or("{}")
    }

    /// Returns the text of the whole record.
    pub fn record(&self) -> &Arc<str> {
        &self.record
    }

    /// Returns the positions of the fields in [`text`](Self::text), which are parsed at the first call.
    ///
    /// # Errors
    /// [`StateError::Corrupt`].
    pub(crate) fn index(&self) -> Result<&Index, StateError> {
        let read = || {
            let text = self.text();
            Index::read(text, &mut Scanner::new(text))
        };
        // The engine has parsed the same text before.
        self.index
            .get_or_init(read)
            .as_ref()
            .map_err(|_| StateError::Corrupt)
    }
}

/// An open session, as the engine returned it; `opened` in `wit/sessions.wit`.
pub struct Opened {
    /// The handle that identifies the session to the engine. Its holder can write the session.
    pub handle: String,
    /// The key of the session's record.
    pub key: Arc<str>,
    /// The version of that record.
    pub version: u64,
    /// The known state of the session.
    pub details: Details,
    /// The clock reading by which the details were determined.
    pub asked_at: Timestamp,
    /// The details stay the same from `asked_at` until before this moment.
    pub holds_until: Timestamp,
    /// The fields.
    pub fields: Arc<Fields>,
}

// The handle and the key identify the session, and the fields are its content.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("public_id", &self.details.public_id)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// Whether the details are valid at this time.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.asked_at <= now && now < self.holds_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_not_where_they_are_said_to_be_are_none() {
        let record: Arc<str> = r#"{"fields":{"a":1}}"#.into();
        for (at, fits) in [(10, true), (9, false), (17, false), (18, false), (40, false)] {
            assert_eq!(Fields::new(Arc::clone(&record), at).is_some(), fits, "{at}");
        }
        assert!(Fields::new("".into(), 0).is_none());
    }
}
