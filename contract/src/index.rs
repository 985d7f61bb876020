//! The positions of an object's fields in a text, so that each field is read in place.

use core::ops::Range;

use crate::json::{self, Fault, Names, Scanner};

/// The maximum number of fields of any policy. A text with more is not a record of this engine.
pub(crate) const MAXIMUM_FIELDS: usize = 4096;

/// The positions of a name (without quotes) and its value in the text.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: (u32, u32),
    value: (u32, u32),
}

/// The members of one object, ordered by escaped name.
#[derive(Clone, Debug, Default)]
pub struct Index(Vec<Span>);

/// Indexed texts are shorter than 4 GiB.
fn narrow(span: &Range<usize>) -> (u32, u32) {
    (span.start as u32, span.end as u32)
}

fn part(text: &str, (start, end): (u32, u32)) -> &str {
    json::slice(text, start as usize, end as usize)
}

/// The bytes of a part, for a comparison: texts are ordered by their bytes.
#[inline(always)]
fn bytes(text: &str, (start, end): (u32, u32)) -> &[u8] {
    &text.as_bytes()[start as usize..end as usize]
}

impl Index {
    /// Creates an index with capacity for this many members.
    fn with_capacity(members: usize) -> Self {
        Self(Vec::with_capacity(members))
    }

    /// Finds the members of the object at the scanner's position in this text. Their values are not decoded.
    ///
    /// # Errors
    /// If it is not an object whose names are ordered and unique, or if it has more than 4096 members.
    pub fn read(text: &str, scanner: &mut Scanner<'_>) -> Result<Self, Fault> {
        scanner.expect(b'{')?;
        if scanner.accept(b'}') {
            return Ok(Self::default());
        }
        // Most sessions have at most this many fields.
        let mut index = Self::with_capacity(16);
        loop {
            let at = scanner.position();
            let name = scanner.string()?;
            let before = index.0.last().map(|span| bytes(text, span.name));
            // The names are ordered, so that a duplicate is adjacent.
            if before.is_some_and(|before| before >= bytes(text, narrow(&name))) {
                return Err(Fault {
                    at,
                    reason: "the fields are not ordered by name",
                });
            }
            scanner.expect(b':')?;
            let value = scanner.value(Names::Trusted)?;
            if index.0.len() == MAXIMUM_FIELDS {
                return Err(Fault {
                    at,
                    reason: "there are more than 4096 fields",
                });
            }
            index.push(&name, &value);
            if !scanner.accept(b',') {
                scanner.expect(b'}')?;
                return Ok(index);
            }
        }
    }

    /// Appends a member. Its name must be greater than the previous one.
    fn push(&mut self, name: &Range<usize>, value: &Range<usize>) {
        self.0.push(Span {
            name: narrow(name),
            value: narrow(value),
        });
    }

    /// Returns the encoded value of a member.
    pub fn raw<'a>(&self, text: &'a str, escaped_name: &str) -> Option<&'a str> {
        let found = self
            .0
            .binary_search_by(|span| bytes(text, span.name).cmp(escaped_name.as_bytes()))
            .ok()?;
        Some(part(text, self.0[found].value))
    }

    /// Returns the escaped names and encoded values of all members, ordered by name.
    pub fn raw_fields<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .map(move |span| (part(text, span.name), part(text, span.value)))
    }

    /// Returns the positions of the names (without quotes) and values of all members, ordered by name.
    pub fn spans(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let wide = |(start, end): (u32, u32)| start as usize..end as usize;
        self.0.iter().map(move |span| (wide(span.name), wide(span.value)))
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
