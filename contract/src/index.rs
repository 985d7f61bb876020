//! Where the fields of an object stand in a text, so that each is read in place.

use core::ops::Range;

use crate::json::{self, Fault, Names, Scanner};

/// More fields than any policy allows are no record of ours.
pub(crate) const MAXIMUM_FIELDS: usize = 4096;

/// Where a name (its quotes left out) and its value stand in the text.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: (u32, u32),
    value: (u32, u32),
}

/// The members of one object, ordered by name as it stands in the text.
#[derive(Clone, Debug, Default)]
pub struct Index(Vec<Span>);

/// The texts that are indexed are shorter than 4 GiB.
fn narrow(span: &Range<usize>) -> (u32, u32) {
    (span.start as u32, span.end as u32)
}

fn part(text: &str, (start, end): (u32, u32)) -> &str {
    json::slice(text, start as usize, end as usize)
}

/// The same, for a comparison: texts are ordered as their bytes are.
#[inline(always)]
fn bytes(text: &str, (start, end): (u32, u32)) -> &[u8] {
    &text.as_bytes()[start as usize..end as usize]
}

impl Index {
    /// With room for so many members.
    fn with_capacity(members: usize) -> Self {
        Self(Vec::with_capacity(members))
    }

    /// Finds the members of the object at which the scanner of this text stands. Their values are not read.
    ///
    /// # Errors
    /// Where it is no object whose names are ordered and unique, or has more than 4096 members.
    pub fn read(text: &str, scanner: &mut Scanner<'_>) -> Result<Self, Fault> {
        scanner.expect(b'{')?;
        if scanner.accept(b'}') {
            return Ok(Self::default());
        }
        // Most sessions have no more.
        let mut index = Self::with_capacity(16);
        loop {
            let at = scanner.position();
            let name = scanner.string()?;
            let before = index.0.last().map(|span| bytes(text, span.name));
            // They stand ordered by name, so that a name that stands twice is seen at once.
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

    /// Notes a member whose name comes after those before it.
    fn push(&mut self, name: &Range<usize>, value: &Range<usize>) {
        self.0.push(Span {
            name: narrow(name),
            value: narrow(value),
        });
    }

    /// The value of a member, as it stands in the text.
    pub fn raw<'a>(&self, text: &'a str, escaped_name: &str) -> Option<&'a str> {
        let found = self
            .0
            .binary_search_by(|span| bytes(text, span.name).cmp(escaped_name.as_bytes()))
            .ok()?;
        Some(part(text, self.0[found].value))
    }

    /// All members, as they stand in the text.
    pub fn raw_fields<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .map(move |span| (part(text, span.name), part(text, span.value)))
    }

    /// Where the names (their quotes left out) and values of all members stand in the text.
    pub fn spans(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let wide = |(start, end): (u32, u32)| start as usize..end as usize;
        self.0.iter().map(move |span| (wide(span.name), wide(span.value)))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
