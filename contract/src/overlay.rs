//! The changed fields of a session over its record, and the JSON text in which they are passed to the engine.

use crate::form::{self, FieldLimits, Unfit, check_name, escape};
use crate::index::MAXIMUM_FIELDS;
use crate::json::{self, Scanner};

/// The maximum name length of any policy, so that a field stored under one policy can be removed under another.
const LONGEST_NAME: u32 = 1024;

/// The maximum number of changes of a session: as many as two records have fields.
pub(crate) const MOST_CHANGES: usize = 2 * MAXIMUM_FIELDS;

/// One change, with its name and value encoded as in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The escaped name, without quotes.
    pub name: Box<str>,
    /// The encoded value; `None` removes the field.
    pub value: Option<Box<str>>,
}

impl Change {
    /// The size in a record. Each field adds two quotes, a colon and a comma; a removal takes no space.
    fn bytes(&self) -> usize {
        let value = self.value.as_ref();
        value.map_or(0, |value| self.name.len() + value.len() + 4)
    }

    /// Checks the name and the length of an encoded value.
    ///
    /// # Errors
    /// [`Unfit::Name`] if the name is invalid, [`Unfit::Limit`] if the name or the value is too long.
    pub fn checked(name: &str, value: Option<String>, limits: &FieldLimits) -> Result<Self, Unfit> {
        check_name(name, limits.maximum_name_bytes)?;
        let longest = limits.maximum_value_bytes;
        if value.as_ref().is_some_and(|value| value.len() > longest as usize) {
            return Err(Unfit::Limit("maximum-value-bytes", longest));
        }
        Ok(Self {
            name: escape(name).into(),
            value: value.map(Into::into),
        })
    }
}

/// The changes of a session, ordered by escaped name.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    changes: Vec<Change>,
    bytes: usize,
    /// Whether the reply to a save of these changes was lost, so that they may be stored.
    tried: bool,
}

impl Overlay {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.changes.binary_search_by(|change| (*change.name).cmp(name))
    }

    /// Adds a change, and replaces an earlier one of the field.
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

    /// Notes that the changes may be stored already, because the reply to their save was lost.
    pub fn note_try(&mut self) {
        self.tried = true;
    }

    /// Whether the change of a field may be stored already.
    pub fn may_be_stored(&self, name: &str) -> bool {
        self.tried && self.find(name).is_ok()
    }

    /// Removes all fields that the changes set.
    pub fn clear(&mut self) {
        if !self.tried {
            self.changes.clear();
        }
        for change in &mut self.changes {
            change.value = None;
        }
        self.bytes = 0;
    }

    /// Drops the change of a field.
    pub fn drop_change(&mut self, name: &str) {
        if let Ok(index) = self.find(name) {
            self.bytes -= self.changes.remove(index).bytes();
        }
    }

    /// Returns the change of a field: its encoded value, or `Some(None)` if the field is removed.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        let index = self.find(name).ok()?;
        Some(self.changes[index].value.as_deref())
    }

    /// Returns all changes, ordered by escaped name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.changes
            .iter()
            .map(|change| (&*change.name, change.value.as_deref()))
    }

    /// Returns the number of changed fields.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns the size of the set fields in a record, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Serialises the changes for the engine: `{"set":{name: value},"remove":[name]}`.
    pub fn to_json(&self) -> String {
        let mut text = String::with_capacity(self.bytes + 24);
        text.push_str("{\"set\":{");
        let mut separator = "";
        for (name, value) in self.iter() {
            if let Some(value) = value {
                for part in [separator, "\"", name, "\":", value] {
                    text.push_str(part);
                }
                separator = ",";
            }
        }
        text.push_str("},\"remove\":[");
        separator = "";
        for (name, value) in self.iter() {
            if value.is_none() {
                for part in [separator, "\"", name, "\""] {
                    text.push_str(part);
                }
                separator = ",";
            }
        }
        text.push_str("]}");
        text
    }

    /// Parses changes from outside, all or none. The empty text contains no changes.
    ///
    /// # Errors
    /// The name of the invalid field, and the reason. The name is empty if the text as a whole is invalid.
    #[inline(never)]
    pub fn read(text: &str, limits: &FieldLimits) -> Result<Self, (String, Unfit)> {
        let mut overlay = Self::default();
        if text.is_empty() {
            return Ok(overlay);
        }
        let whole = |fault: json::Fault| (String::new(), Unfit::from(fault));
        let mut scanner = Scanner::new(text);
        scanner.expect(b'{').map_err(whole)?;
        let (mut sets, mut removes) = (false, false);
        if !scanner.accept(b'}') {
            loop {
                let member = scanner.text().map_err(whole)?;
                scanner.expect(b':').map_err(whole)?;
                match &*member {
                    "set" if !core::mem::replace(&mut sets, true) => {
                        overlay.read_set(text, &mut scanner, limits)?;
                    }
                    "remove" if !core::mem::replace(&mut removes, true) => {
                        overlay.read_remove(&mut scanner, limits)?;
                    }
                    _ => {
                        let reason = "only `set` and `remove`, once each";
                        return Err((String::new(), Unfit::Value(reason.into())));
                    }
                }
                if !scanner.accept(b',') {
                    scanner.expect(b'}').map_err(whole)?;
                    break;
                }
            }
        }
        scanner.end().map_err(whole)?;
        if overlay.bytes > limits.maximum_record_bytes as usize {
            let limit = Unfit::Limit("maximum-record-bytes", limits.maximum_record_bytes);
            return Err((String::new(), limit));
        }
        Ok(overlay)
    }

    fn read_set(
        &mut self,
        text: &str,
        scanner: &mut Scanner<'_>,
        limits: &FieldLimits,
    ) -> Result<(), (String, Unfit)> {
        let whole = |fault: json::Fault| (String::new(), Unfit::from(fault));
        scanner.expect(b'{').map_err(whole)?;
        if scanner.accept(b'}') {
            return Ok(());
        }
        loop {
            let name = scanner.text().map_err(whole)?;
            scanner.expect(b':').map_err(whole)?;
            let span = scanner.value(json::Names::Trusted).map_err(whole)?;
            let value = form::canonical(json::slice(text, span.start, span.end))
                .map_err(|unfit| (name.to_string(), unfit))?;
            self.take(&name, Some(value), limits)?;
            if !scanner.accept(b',') {
                return scanner.expect(b'}').map_err(whole);
            }
        }
    }

    fn read_remove(
        &mut self,
        scanner: &mut Scanner<'_>,
        limits: &FieldLimits,
    ) -> Result<(), (String, Unfit)> {
        let whole = |fault: json::Fault| (String::new(), Unfit::from(fault));
        scanner.expect(b'[').map_err(whole)?;
        if scanner.accept(b']') {
            return Ok(());
        }
        loop {
            let name = scanner.text().map_err(whole)?;
            self.take(&name, None, limits)?;
            if !scanner.accept(b',') {
                return scanner.expect(b']').map_err(whole);
            }
        }
    }

    fn take(
        &mut self,
        name: &str,
        value: Option<String>,
        limits: &FieldLimits,
    ) -> Result<(), (String, Unfit)> {
        let change = match value {
            Some(_) => Change::checked(name, value, limits),
            // A removal is not subject to the policy's limits, which may have been wider when the field was stored.
            None => check_name(name, LONGEST_NAME).map(|()| Change {
                name: escape(name).into(),
                value: None,
            }),
        };
        let change = change.map_err(|unfit| (name.to_owned(), unfit))?;
        if self.find(&change.name).is_ok() {
            return Err((name.to_owned(), Unfit::Name("occurs twice in the changes")));
        }
        // A session that has reached the maximum of changes can still remove its stored fields.
        if self.len() >= MOST_CHANGES + MAXIMUM_FIELDS {
            let limit = Unfit::Limit("maximum-fields", limits.maximum_fields);
            return Err((name.to_owned(), limit));
        }
        self.put(change);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FieldLimits = FieldLimits {
        maximum_name_bytes: 8,
        maximum_value_bytes: 16,
        maximum_record_bytes: 64,
        maximum_fields: 2,
    };

    fn read(text: &str) -> Result<String, (String, Unfit)> {
        Overlay::read(text, &LIMITS).map(|overlay| overlay.to_json())
    }

    #[test]
    fn changes_are_written_canonically_whatever_form_they_come_in() {
        for (text, written) in [
            ("", r#"{"set":{},"remove":[]}"#),
            (" { } ", r#"{"set":{},"remove":[]}"#),
            (
                r#"{ "remove" : ["b"], "set": {"\u0061" : 1e1, "c": null} }"#,
                r#"{"set":{"a":10.0,"c":null},"remove":["b"]}"#,
            ),
        ] {
            assert_eq!(read(text).as_deref(), Ok(written), "{text}");
            assert_eq!(read(written).as_deref(), Ok(written), "{text}");
        }
    }

    #[test]
    fn changes_are_taken_whole_or_refused_by_the_name_of_the_field() {
        let field = |text: &str| read(text).unwrap_err();
        assert_eq!(field(r#"{"set":{"a":1,"\u0061":2}}"#).0, "a");
        assert_eq!(field(r#"{"set":{"a":1},"remove":["a"]}"#).0, "a");
        assert_eq!(field(r#"{"remove":["a","a"]}"#).0, "a");
        assert!(matches!(
            field(r#"{"set":{"a":1,"b":[1e400]}}"#),
            (_, Unfit::Value(_))
        ));
        assert!(matches!(
            field(r#"{"set":{"a":"\u0000"},"set":{}}"#),
            (_, Unfit::Value(_))
        ));
        // These are JSON, but not values of a field.
        for unfit in ["9223372036854775808", r#"{"$t":["date","x"]}"#] {
            let changes = format!(r#"{{"set":{{"a":1,"b":{unfit}}}}}"#);
            assert!(matches!(field(&changes), (name, Unfit::Value(_)) if name == "b"));
        }
        assert!(matches!(field(r#"{"put":{}}"#), (_, Unfit::Value(_))));
        assert!(matches!(field("[]"), (_, Unfit::Value(_))));
        assert!(matches!(field(r#"{"set":{"":1}}"#), (_, Unfit::Name(_))));
        assert_eq!(
            field(r#"{"set":{"123456789":1}}"#).1,
            Unfit::Limit("maximum-name-bytes", 8)
        );
        assert!(read(r#"{"set":{"a":"12345678901234"}}"#).is_ok());
        assert_eq!(
            field(r#"{"set":{"a":"123456789012345"}}"#),
            ("a".into(), Unfit::Limit("maximum-value-bytes", 16))
        );
        let remove = |count: usize| {
            let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            format!("{{\"remove\":{names:?}}}")
        };
        assert!(read(&remove(3 * 4096)).is_ok());
        assert_eq!(field(&remove(3 * 4096 + 1)).1, Unfit::Limit("maximum-fields", 2));
        let long = "x".repeat(14);
        let set = format!(r#"{{"set":{{"a":"{long}","b":"{long}","c":"{long}"}}}}"#);
        assert!(read(&set).is_ok());
        let set = format!(r#"{{"set":{{"a":"{long}","b":"{long}","ccc":"{long}"}}}}"#);
        assert_eq!(field(&set).1, Unfit::Limit("maximum-record-bytes", 64));
        // A removal is not subject to the policy's limits.
        let name = "n".repeat(1024);
        assert!(
            read(&format!(
                r#"{{"set":{{"a":"{long}","b":"{long}"}},"remove":["{name}","c"]}}"#
            ))
            .is_ok()
        );
        assert!(read(&format!(r#"{{"remove":["{name}n"]}}"#)).is_err());
    }
}
