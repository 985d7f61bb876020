//! An open session, as the engine answered it, and its fields.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::index::Index;
use crate::json::{Fault, Scanner};
use crate::state::StateError;
use crate::{Details, Timestamp};

/// The fields of a record, read in place: the record's text is shared with whoever read or wrote it.
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
    /// Those of a record, whose object begins at this byte and ends before the record's last; `None` if none is there.
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

    /// All fields as one JSON object.
    pub fn text(&self) -> &str {
        // Looked at by `new`.
        self.record.get(self.at..self.record.len() - 1).unwrap_or("{}")
    }

    /// The text of the whole record.
    pub fn record(&self) -> &Arc<str> {
        &self.record
    }

    /// Where they stand.
    ///
    /// # Errors
    /// [`StateError::Corrupt`].
    pub(crate) fn index(&self) -> Result<&Index, StateError> {
        let read = || {
            let text = self.text();
            Index::read(text, &mut Scanner::new(text))
        };
        // The engine has read the same text.
        self.index
            .get_or_init(read)
            .as_ref()
            .map_err(|_| StateError::Corrupt)
    }
}

/// An open session, as the engine answered it.
pub struct Opened {
    /// Names the session to the engine. It opens the session for whoever has it.
    pub handle: String,
    /// The key of the session's record.
    pub key: Arc<str>,
    /// The version of that record.
    pub version: u64,
    /// What is known of the session.
    pub details: Details,
    /// The clock's answer by which the details were made.
    pub asked_at: Timestamp,
    /// The details stay the same from then to before this moment.
    pub holds_until: Timestamp,
    /// The fields.
    pub fields: Arc<Fields>,
}

// A handle and a key name the session, and fields are its own.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("public_id", &self.details.public_id)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// Whether the details are the same at this time.
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
