//! The head of a record: the part of its string before the text. `docs/layout.md` describes it byte by byte.

use super::digits::{LATEST_MILLIS, decimal, hex};
use super::tag::Tag;
use crate::StoreError;
use tessera_contract::Timestamp;

/// The maximum length of an owner in a head.
pub(super) const OWNER_BYTES: usize = 512;
/// The maximum length of a head in any format: with the longest owner and the newline.
pub(super) const HEAD_BYTES: usize = 125 + OWNER_BYTES + 1;

/// The format of the head of a record. Heads of all these formats are read.
///
/// A release also reads the format of its predecessor, and writes it as long as
/// [`write_format`](super::RedisStoreBuilder::write_format) selects it; `docs/layout.md` describes an upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadFormat {
    /// A format for tests, which is not part of a release: format 1 without a guard, which reads as 0.
    #[cfg(feature = "test-format")]
    V0,
    /// Format 1, the first format of a release.
    #[default]
    V1,
}

impl HeadFormat {
    /// The number of the format, as an argument of the scripts.
    pub(super) fn number(self) -> &'static str {
        match self {
            #[cfg(feature = "test-format")]
            Self::V0 => "0",
            Self::V1 => "1",
        }
    }

    fn of(number: u8) -> Option<Self> {
        match number {
            #[cfg(feature = "test-format")]
            b'0' => Some(Self::V0),
            b'1' => Some(Self::V1),
            _ => None,
        }
    }

    fn has_guard(self) -> bool {
        match self {
            #[cfg(feature = "test-format")]
            Self::V0 => false,
            Self::V1 => true,
        }
    }
}

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) version: u64,
    pub(super) guard: u64,
    pub(super) ends_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) touched_at: Timestamp,
    /// The owner, and the entry of the owner's index that lists the record.
    pub(super) listed: Option<(&'a str, Tag)>,
}

impl<'a> Head<'a> {
    /// Reads the head at the start of a record, and returns it with the bytes behind it.
    /// Anything that is not exactly a head of a known format is [`StoreError::Corrupt`].
    pub(super) fn read(record: &'a [u8]) -> Result<(Self, &'a [u8]), StoreError> {
        let mut fields = Fields(record);
        fields.head().ok_or(StoreError::Corrupt)
    }
}

/// The remaining fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn head(&mut self) -> Option<(Head<'a>, &'a [u8])> {
        let format = HeadFormat::of(self.field(1)?[0])?;
        let version = hex(self.field(16)?)?;
        let guard = match format.has_guard() {
            true => hex(self.field(16)?)?,
            false => 0,
        };
        let (ends_at, expires_at, touched_at) = (self.moment()?, self.moment()?, self.moment()?);
        let tag = Tag::parse(std::str::from_utf8(self.field(Tag::BYTES)?).ok()?)?;
        let length = usize::try_from(decimal(self.field(3)?)?).ok()?;
        let owner = std::str::from_utf8(self.take(length)?).ok()?;
        if length > OWNER_BYTES || self.take(1)? != b"\n" {
            return None;
        }
        let listed = match tag.is_none() {
            true if !owner.is_empty() => return None,
            true => None,
            false => Some((owner, tag)),
        };
        let head = Head {
            version,
            guard,
            ends_at,
            expires_at,
            touched_at,
            listed,
        };
        Some((head, self.0))
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a field of this length, and the space behind it.
    fn field(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let field = self.take(bytes)?;
        (self.take(1)? == b" ").then_some(field)
    }

    fn moment(&mut self) -> Option<Timestamp> {
        decimal(self.field(16)?)
            .filter(|millis| *millis <= LATEST_MILLIS)
            .map(Timestamp::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors(section: &str) -> Vec<Value> {
        let text = include_str!("../../layout/redis/records.json");
        let all: Value = serde_json::from_str(text).expect("JSON");
        all[section].as_array().expect("a list").clone()
    }

    fn bytes(vector: &Value) -> Vec<u8> {
        match vector["hex"].as_str() {
            None => vector["bytes"].as_str().expect("a text").as_bytes().to_vec(),
            Some(digits) => (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
                .collect(),
        }
    }

    /// The head of a record, with its text.
    fn read(record: &[u8]) -> Result<(Head<'_>, &str), StoreError> {
        let (head, text) = Head::read(record)?;
        Ok((head, std::str::from_utf8(text).map_err(|_| StoreError::Corrupt)?))
    }

    fn holds(vector: &Value) {
        let name = &vector["name"];
        let text = |member: &str| {
            vector[member]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {member}"))
        };
        let moment = |member: &str| {
            let millis = vector[member].as_u64();
            Timestamp::from_millis(millis.unwrap_or_else(|| panic!("{name}: {member}")))
        };
        let number = |member: &str| hex(text(member).as_bytes()).expect("hexadecimal");
        let record = bytes(vector);
        let head = Head {
            version: number("version"),
            guard: number("guard"),
            ends_at: moment("ends_at"),
            expires_at: moment("expires_at"),
            touched_at: moment("touched_at"),
            listed: vector["owner"]
                .as_str()
                .map(|owner| (owner, Tag::parse(text("tag")).expect("a tag"))),
        };
        let found = read(&record).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found, (head, text("text")), "{name}");
    }

    #[test]
    fn heads_are_read_as_they_are_written() {
        let records = vectors("records");
        assert!(records.len() > 10);
        records.iter().for_each(holds);
    }

    #[test]
    fn what_is_not_exactly_a_head_is_corrupt() {
        let damaged = vectors("damaged");
        assert!(damaged.len() > 50);
        for vector in damaged {
            let found = read(&bytes(&vector)).map(|_| ());
            assert!(matches!(found, Err(StoreError::Corrupt)), "{}", vector["why"]);
        }
    }

    #[test]
    fn the_test_format_is_read_with_its_feature_alone() {
        for vector in vectors("test_format") {
            if cfg!(feature = "test-format") {
                holds(&vector);
            } else {
                let found = read(&bytes(&vector)).map(|_| ());
                assert!(matches!(found, Err(StoreError::Corrupt)), "{}", vector["name"]);
            }
        }
    }

    #[test]
    fn a_head_that_is_cut_anywhere_is_corrupt() {
        for vector in vectors("records") {
            let record = bytes(&vector);
            let text = vector["text"].as_str().expect("a text").len();
            for length in 0..record.len() - text {
                assert!(
                    Head::read(&record[..length]).is_err(),
                    "{} {length}",
                    vector["name"]
                );
            }
        }
    }

    #[test]
    fn no_two_heads_of_the_fixed_part_say_the_same() {
        let record = bytes(&vectors("records")[0]);
        let (head, _) = Head::read(&record).expect("a head");
        for at in 0..125 {
            for byte in 0..=u8::MAX {
                let mut changed = record.clone();
                changed[at] = byte;
                let is_read_the_same = Head::read(&changed).is_ok_and(|(found, _)| found == head);
                assert_eq!(is_read_the_same, byte == record[at], "byte {at} is {byte}");
            }
        }
    }
}
