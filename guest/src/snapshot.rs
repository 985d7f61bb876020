//! An immutable record: its text, and the position of each field in it.

use core::cell::OnceCell;
use core::ops::Range;

use tessera_contract::index::Index;

use crate::error::{Error, Kind};
use crate::form::escape;
use crate::id::SessionId;
use crate::json::{self, Scanner};
use crate::overlay::Overlay;
use crate::record::{Head, corrupt};

/// The maximum size of a head without its subject, in bytes.
const ENGINE_BYTES: usize = 512;

/// An immutable record.
#[derive(Debug)]
pub struct Snapshot {
    text: String,
    /// The byte offset of the object of the fields.
    fields_at: usize,
    /// Parsed at the first access to a field. Most written records are never accessed.
    fields: OnceCell<Index>,
    /// The engine's own data about the session.
    pub head: Head,
    /// The session id under which the record is stored.
    pub id: SessionId,
    /// The version that the store assigned; 0 for a record that is not stored yet.
    pub version: u64,
}

/// The fields of a snapshot that a new record keeps.
#[derive(Clone, Debug)]
pub enum KeepFields {
    /// No field.
    Nothing,
    /// All fields.
    Everything,
    /// The fields with these names.
    Named(Vec<String>),
}

impl KeepFields {
    fn keeps(&self, escaped_name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Named(names) => names.iter().any(|name| escape(name) == escaped_name),
        }
    }
}

/// The members of the next record during composition. Adjacent kept members are copied together.
struct Members<'a> {
    text: String,
    /// The fields of the previous record.
    before: &'a str,
    /// The part of them that is kept and not copied yet.
    run: Range<usize>,
    count: usize,
}

impl Members<'_> {
    fn separate(&mut self) {
        // After an opening brace no member is written yet, because no value ends with one.
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
    }

    fn end_run(&mut self) {
        if !self.run.is_empty() {
            self.separate();
            self.text
                .push_str(json::slice(self.before, self.run.start, self.run.end));
            self.run = 0..0;
        }
    }

    /// Keeps a member of the previous record at this position: from the quote before its name to the end of its value.
    fn keep(&mut self, member: Range<usize>) {
        self.count += 1;
        if self.run.is_empty() || self.run.end + 1 != member.start {
            self.end_run();
            self.run.start = member.start;
        }
        self.run.end = member.end;
    }

    /// Sets a member; `None` omits it.
    fn change(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.end_run();
        self.separate();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        self.text.push_str(value);
        self.count += 1;
    }
}

impl Snapshot {
    /// Composes the next record from a head, the kept fields of a snapshot, and an overlay's changes.
    ///
    /// Its version is 0 until the store assigns one.
    ///
    /// # Errors
    /// `LimitExceeded` if it has more than `maximum_fields` fields or `maximum_bytes` bytes.
    pub fn compose(
        id: SessionId,
        head: Head,
        base: Option<&Self>,
        keep: &KeepFields,
        overlay: &Overlay,
        maximum_fields: u32,
        maximum_bytes: u32,
    ) -> Result<Self, Error> {
        let mut text =
            String::with_capacity(base.map_or(512, |base| base.text.len() + 128) + overlay.bytes());
        head.write(&mut text);
        let head_bytes = text.len();
        text.push('{');
        let mut next = Members {
            text,
            before: base.map_or("", Snapshot::rest),
            run: 0..0,
            count: 0,
        };
        // Merges two ordered sequences. A name in both takes the overlay's value.
        let mut changes = overlay.iter().peekable();
        for (name, value) in base.into_iter().flat_map(|base| base.fields().spans()) {
            let old = json::slice(next.before, name.start, name.end);
            let mut is_changed = false;
            while let Some((changed, change)) = changes.next_if(|(changed, _)| *changed <= old) {
                is_changed = changed == old;
                next.change(changed, change);
            }
            if !is_changed && keep.keeps(old) {
                next.keep(name.start - 1..value.end);
            }
        }
        for (changed, change) in changes {
            next.change(changed, change);
        }
        next.end_run();
        let Members { mut text, count, .. } = next;
        text.push_str("}}");
        if count > maximum_fields as usize {
            return Err(Error::limit("maximum-fields", maximum_fields));
        }
        // The head grows with write ids and generations, which must not make a record exceed the limit.
        let subject_bytes = head.subject.as_deref().map_or(0, |subject| escape(subject).len());
        if text.len() - head_bytes + subject_bytes + ENGINE_BYTES > maximum_bytes as usize {
            return Err(Error::limit("maximum-record-bytes", maximum_bytes));
        }
        Ok(Self {
            text,
            fields_at: head_bytes,
            fields: OnceCell::new(),
            head,
            id,
            version: 0,
        })
    }

    /// Parses a record's head and finds its fields. Their values are not decoded.
    ///
    /// # Errors
    /// `Corrupt`, with the position and the reason.
    pub fn read(id: SessionId, text: String, version: u64) -> Result<Self, Error> {
        if u32::try_from(text.len()).is_err() {
            return Err(Error::because(Kind::Corrupt, "the record is longer than 4 GiB"));
        }
        let mut scanner = Scanner::new(&text);
        let head = Head::read(&mut scanner)?;
        let fields_at = scanner.position();
        let rest = json::slice(&text, fields_at, text.len());
        let mut scanner = Scanner::new(rest);
        let at = |fault: json::Fault| {
            let at = fault.at + fields_at;
            corrupt(json::Fault { at, ..fault })
        };
        // The fields begin at the end of the head, without white space, because the host takes them from the text by position.
        scanner.literal("{").map_err(at)?;
        let mut scanner = Scanner::new(rest);
        let fields = Index::read(rest, &mut scanner).map_err(at)?;
        // The fields end before the last byte of the record.
        scanner.literal("}").map_err(at)?;
        if scanner.position() < rest.len() {
            return Err(at(json::Fault {
                at: scanner.position(),
                reason: "trailing characters",
            }));
        }
        Ok(Self {
            text,
            fields_at,
            fields: OnceCell::from(fields),
            head,
            id,
            version,
        })
    }

    /// Returns the record's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the byte offset of the object of the fields, which ends before the last byte of the text.
    pub fn fields_at(&self) -> usize {
        self.fields_at
    }

    /// Returns all fields as one JSON object.
    pub fn fields_text(&self) -> &str {
        json::slice(&self.text, self.fields_at, self.text.len() - 1)
    }

    fn rest(&self) -> &str {
        json::slice(&self.text, self.fields_at, self.text.len())
    }

    fn fields(&self) -> &Index {
        // A composed record is parsed at its first access.
        let read = || Index::read(self.rest(), &mut Scanner::new(self.rest())).unwrap_or_default();
        self.fields.get_or_init(read)
    }

    /// Returns the encoded value of a field.
    pub fn raw(&self, escaped_name: &str) -> Option<&str> {
        self.fields().raw(self.rest(), escaped_name)
    }

    /// Returns the escaped names and encoded values of all fields, ordered by name.
    pub fn raw_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields().raw_fields(self.rest())
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.fields().len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::{Generation, Generations};
    use crate::overlay::Change;
    use crate::record::Writes;
    use tessera_contract::Value;

    const ID: SessionId = SessionId([7; 16]);

    fn head() -> Head {
        let mut writes = Writes::default();
        writes.push("w.1");
        Head {
            format: 1,
            created_at: 5,
            authenticated_at: None,
            ends_at: 100,
            subject: Some("a\"b".into()),
            generations: Generations::first(5),
            writes,
        }
    }

    fn overlay(changes: &[(&str, Option<Value>)]) -> Overlay {
        let mut overlay = Overlay::default();
        for (name, value) in changes {
            let value = value
                .as_ref()
                .map(|value| crate::form::encode(value).unwrap().into_boxed_str());
            overlay.put(Change {
                name: escape(name).into_boxed_str(),
                value,
            });
        }
        overlay
    }

    fn write(base: Option<&Snapshot>, changes: &[(&str, Option<Value>)]) -> Snapshot {
        Snapshot::compose(
            ID,
            head(),
            base,
            &KeepFields::Everything,
            &overlay(changes),
            10,
            2048,
        )
        .unwrap()
    }

    #[test]
    fn a_written_record_is_read_back_as_it_is() {
        let written = write(
            None,
            &[
                ("b", Some(Value::Integer(1))),
                ("a\n", Some(Value::Text("x".into()))),
            ],
        );
        let read = Snapshot::read(ID, written.text.clone(), 1).unwrap();
        assert_eq!(read.head, written.head);
        assert_eq!(
            read.raw_fields().collect::<Vec<_>>(),
            vec![("a\\n", "\"x\""), ("b", "1")]
        );
        assert_eq!(read.raw("b"), Some("1"));
        assert_eq!(read.raw("c"), None);
    }

    #[test]
    fn an_overlay_sets_removes_and_keeps() {
        let base = write(
            None,
            &[
                ("a", Some(Value::Null)),
                ("c", Some(Value::Null)),
                ("e", Some(Value::Null)),
            ],
        );
        let next = write(
            Some(&base),
            &[
                ("b", Some(Value::Integer(2))),
                ("c", None),
                ("e", Some(Value::Integer(5))),
                ("f", Some(Value::Null)),
            ],
        );
        assert_eq!(
            next.raw_fields().collect::<Vec<_>>(),
            vec![("a", "null"), ("b", "2"), ("e", "5"), ("f", "null")]
        );
        assert_eq!(Snapshot::read(ID, next.text.clone(), 2).unwrap().len(), 4);
    }

    #[test]
    fn what_stands_between_fields_that_stay_is_not_copied_with_them() {
        let fields = ["a", "b", "c", "d", "e"].map(|name| (name, Some(Value::Text(name.into()))));
        let base = write(None, &fields);
        let base = Snapshot::read(ID, base.text, 1).unwrap();
        for removed in ["a", "b", "c", "d", "e"] {
            let next = write(Some(&base), &[(removed, None)]);
            let kept = base.raw_fields().filter(|(name, _)| *name != removed);
            assert!(next.raw_fields().eq(kept), "{removed}: {}", next.text);
        }
    }

    #[test]
    fn limits_of_fields_and_bytes_hold_on_both_sides() {
        let ten: Vec<(String, Option<Value>)> =
            (0..10).map(|i| (format!("f{i}"), Some(Value::Null))).collect();
        let ten: Vec<(&str, Option<Value>)> = ten
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let write = |changes: &[_], bytes| {
            Snapshot::compose(
                ID,
                head(),
                None,
                &KeepFields::Everything,
                &overlay(changes),
                10,
                bytes,
            )
        };
        let mut beginning = String::new();
        head().write(&mut beginning);
        let fields = write(&ten, 2048).unwrap().text().len() - beginning.len();
        let subject = escape("a\"b").len();
        let length = (fields + subject + ENGINE_BYTES) as u32;
        assert!(write(&ten, length).is_ok());
        assert_eq!(
            write(&ten, length - 1).unwrap_err().into_parts().1,
            "maximum-record-bytes"
        );
        let mut eleven = ten;
        eleven.push(("g", Some(Value::Null)));
        assert_eq!(write(&eleven, 2048).unwrap_err().into_parts().1, "maximum-fields");
    }

    #[test]
    fn no_head_takes_more_than_is_reserved_for_it() {
        let last = Generation {
            counter: u32::MAX,
            raised_at: crate::call::MAXIMUM_TIMESTAMP_MS,
        };
        let mut longest = Head {
            format: 1,
            created_at: last.raised_at,
            authenticated_at: Some(last.raised_at),
            ends_at: last.raised_at,
            subject: Some(String::new()),
            generations: Generations {
                current: last,
                previous: Some(last),
                login_generation: last,
                confirmed_at: Some(last.raised_at),
            },
            writes: Writes::default(),
        };
        for _ in 0..crate::record::KEPT_WRITES + 1 {
            longest.writes.push("nonce678.4294967295");
        }
        let mut text = String::new();
        longest.write(&mut text);
        assert!(text.len() <= ENGINE_BYTES, "{}", text.len());
    }

    #[test]
    fn a_damaged_record_is_corrupt_at_every_byte_and_never_guessed() {
        let text = write(
            None,
            &[
                ("a", Some(Value::Json("[1,{\"x\":2}]".into()))),
                ("b", Some(Value::Integer(7))),
            ],
        )
        .text;
        for length in 0..text.len() {
            assert!(
                Snapshot::read(ID, text[..length].into(), 1).is_err_and(|error| error.is(Kind::Corrupt)),
                "{length}"
            );
        }
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("\"a\":", "\"b\":"),
            ("\"created\"", "\"Created\""),
            ("}}", "}} x"),
            ("\"fields\":", "\"fields\": "),
        ] {
            assert!(
                Snapshot::read(ID, text.replacen(from, to, 1), 1).is_err_and(|error| error.is(Kind::Corrupt)),
                "{from}"
            );
        }
    }
}
