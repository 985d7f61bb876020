//! The head of a record: the engine's own data about a session.
//!
//! A record is one JSON object. Its members have a fixed order, and the format version is the first:
//!
//! ```json
//! {"format":1,"created":1767225600000,"authenticated":1767225600000,"ends":1767312000000,"subject":"alice",
//!  "generation":[2,1767225600001],"previous":null,"floor":[2,1767225600001],"confirmed":1767225600001,
//!  "writes":["kD3f9aQx.1"],"fields":{"role":"admin"}}
//! ```
//!
//! `floor` is the login generation: an older token is refused.
//!
//! A record of an unknown format is refused, never interpreted.
//!
//! A redirect, `{"format":1,"moved":"<id>"}`, is stored under the old id of a session that has moved (see `write/relocate.rs`).

use core::ops::RangeInclusive;

use crate::encoding;
use crate::error::{Error, Kind, phrase};
use crate::generation::{Generation, Generations};
use crate::id::SessionId;
use crate::json::{self, Fault, Scanner};

/// The formats that this release reads: that of the previous release, if it differs, and its own.
///
/// The policy selects the format to write, because the hosts of a store are not all updated at once.
pub const FORMATS: RangeInclusive<u32> = 1..=1;

/// The number of write ids that a record keeps: more than can be added between a write and the writer's next read.
pub const KEPT_WRITES: usize = 6;

/// The maximum length of a write id. An id needs 19: eight characters of the writer, a dot, and a number of 32 bits.
const LONGEST_WRITE_ID: usize = 64;

/// The ids of the last writes of a record, oldest first, as JSON in the record: `"kD3f9aQx.0","kD3f9aQx.1"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes(String);

impl Writes {
    /// Returns the ids, oldest first. No id contains a comma or a character that needs an escape.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let names = self.0.split(',').filter(|name| !name.is_empty());
        names.map(|name| name.trim_matches('"'))
    }

    /// Whether the write with this id is among the last.
    pub fn contains(&self, id: &str) -> bool {
        self.iter().any(|name| name == id)
    }

    /// Adds a write, and drops the oldest if there are more than [`KEPT_WRITES`].
    pub fn push(&mut self, id: &str) {
        let commas = self.0.bytes().filter(|byte| *byte == b',');
        if commas.count() >= KEPT_WRITES - 1 {
            let second = self.0.find(',').map_or(self.0.len(), |comma| comma + 1);
            self.0.drain(..second);
        }
        if !self.0.is_empty() {
            self.0.push(',');
        }
        json::push_string(id, &mut self.0);
    }

    /// Reads the ids, at most [`KEPT_WRITES`].
    fn read(scanner: &mut Scanner<'_>) -> Result<Self, Fault> {
        let is_empty = scanner.peek() != Some(b'"');
        let start = scanner.position();
        for count in 0..KEPT_WRITES {
            if is_empty || (count > 0 && scanner.literal(",").is_err()) {
                break;
            }
            let at = scanner.position();
            let name = scanner.string()?;
            let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            // White space before an id would become part of the kept text.
            let is_name = name.start == at + 1
                && (1..=LONGEST_WRITE_ID).contains(&name.len())
                && scanner.slice(&name).bytes().all(is_id);
            if !is_name {
                return Err(Fault {
                    at,
                    reason: "a write id is not 1 to 64 characters of base64url and dots",
                });
            }
        }
        Ok(Self(scanner.slice(&(start..scanner.position())).to_owned()))
    }
}

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The record's format, one of [`FORMATS`].
    pub format: u32,
    /// When the session was created.
    pub created_at: u64,
    /// When the subject last authenticated.
    pub authenticated_at: Option<u64>,
    /// Absolute end of the session, regardless of use.
    pub ends_at: u64,
    /// The subject of the session.
    pub subject: Option<String>,
    /// The generations of the session's tokens.
    pub generations: Generations,
    /// The last writes, by which a writer recognises its own write if the reply was lost.
    pub writes: Writes,
}

impl Head {
    /// Appends the head, up to and including the name of the fields.
    pub fn write(&self, onto: &mut String) {
        onto.push_str("{\"format\":");
        json::push_unsigned(self.format.into(), onto);
        onto.push_str(",\"created\":");
        json::push_unsigned(self.created_at, onto);
        onto.push_str(",\"authenticated\":");
        push_moment(self.authenticated_at, onto);
        onto.push_str(",\"ends\":");
        json::push_unsigned(self.ends_at, onto);
        onto.push_str(",\"subject\":");
        match &self.subject {
            Some(subject) => json::push_string(subject, onto),
            None => onto.push_str("null"),
        }
        onto.push_str(",\"generation\":");
        push_generation(Some(self.generations.current), onto);
        onto.push_str(",\"previous\":");
        push_generation(self.generations.previous, onto);
        onto.push_str(",\"floor\":");
        push_generation(Some(self.generations.login_generation), onto);
        onto.push_str(",\"confirmed\":");
        push_moment(self.generations.confirmed_at, onto);
        onto.push_str(",\"writes\":[");
        onto.push_str(&self.writes.0);
        onto.push_str("],\"fields\":");
    }

    /// Reads the head, and leaves the scanner before the fields.
    ///
    /// # Errors
    /// `Corrupt`, with the position and the reason.
    pub fn read(scanner: &mut Scanner<'_>) -> Result<Self, Error> {
        scanner.literal("{\"format\":").map_err(corrupt)?;
        let format = scanner.unsigned().map_err(corrupt)?;
        let Some(format) = u32::try_from(format)
            .ok()
            .filter(|format| FORMATS.contains(format))
        else {
            return Err(Error::because(
                Kind::Corrupt,
                phrase(
                    "the record has format ",
                    format,
                    ", which this engine does not read",
                ),
            ));
        };
        let head = read_members(format, scanner).map_err(corrupt)?;
        if head.generations.login_generation.counter > head.generations.current.counter {
            return Err(Error::because(
                Kind::Corrupt,
                "the login generation is above the current generation",
            ));
        }
        Ok(head)
    }
}

/// The text of a redirect before and after the new id. It is the same in all formats.
const REDIRECT: (&str, &str) = ("{\"format\":1,\"moved\":\"", "\"}");

/// Returns the redirect to a session's new id.
pub fn redirect(to: SessionId) -> String {
    [REDIRECT.0, &encoding::encode(&to.0), REDIRECT.1].concat()
}

/// Returns the id of a redirect; `None` for a record.
pub fn redirect_target(text: &str) -> Option<SessionId> {
    let id = text.strip_prefix(REDIRECT.0)?.strip_suffix(REDIRECT.1)?;
    encoding::decode_exact(id).map(SessionId)
}

/// The error of a damaged record. Its text contains nothing of the record.
pub fn corrupt(fault: Fault) -> Error {
    Error::because(Kind::Corrupt, fault.to_text())
}

fn read_members(format: u32, scanner: &mut Scanner<'_>) -> Result<Head, Fault> {
    scanner.literal(",\"created\":")?;
    let created_at = scanner.unsigned()?;
    scanner.literal(",\"authenticated\":")?;
    let authenticated_at = read_moment(scanner)?;
    scanner.literal(",\"ends\":")?;
    let ends_at = scanner.unsigned()?;
    scanner.literal(",\"subject\":")?;
    let subject = match scanner.peek() {
        Some(b'n') => {
            scanner.literal("null")?;
            None
        }
        _ => Some(scanner.text()?.into_owned()),
    };
    scanner.literal(",\"generation\":")?;
    let current = read_generation(scanner)?;
    scanner.literal(",\"previous\":")?;
    let previous = match scanner.peek() {
        Some(b'n') => {
            scanner.literal("null")?;
            None
        }
        _ => Some(read_generation(scanner)?),
    };
    scanner.literal(",\"floor\":")?;
    let login_generation = read_generation(scanner)?;
    scanner.literal(",\"confirmed\":")?;
    let confirmed_at = read_moment(scanner)?;
    scanner.literal(",\"writes\":[")?;
    let writes = Writes::read(scanner)?;
    scanner.literal("],\"fields\":")?;
    let generations = Generations {
        current,
        previous,
        login_generation,
        confirmed_at,
    };
    Ok(Head {
        format,
        created_at,
        authenticated_at,
        ends_at,
        subject,
        generations,
        writes,
    })
}

fn push_moment(moment: Option<u64>, onto: &mut String) {
    match moment {
        Some(moment) => json::push_unsigned(moment, onto),
        None => onto.push_str("null"),
    }
}

fn read_moment(scanner: &mut Scanner<'_>) -> Result<Option<u64>, Fault> {
    if scanner.peek() == Some(b'n') {
        scanner.literal("null")?;
        return Ok(None);
    }
    scanner.unsigned().map(Some)
}

fn push_generation(generation: Option<Generation>, onto: &mut String) {
    let Some(Generation { counter, raised_at }) = generation else {
        return onto.push_str("null");
    };
    onto.push('[');
    json::push_unsigned(counter.into(), onto);
    onto.push(',');
    json::push_unsigned(raised_at, onto);
    onto.push(']');
}

fn read_generation(scanner: &mut Scanner<'_>) -> Result<Generation, Fault> {
    scanner.expect(b'[')?;
    let at = scanner.position();
    let counter = u32::try_from(scanner.unsigned()?).map_err(|_| Fault {
        at,
        reason: "a generation's counter is above 2^32−1",
    })?;
    scanner.expect(b',')?;
    let at = scanner.position();
    let raised_at = scanner.unsigned()?;
    if raised_at > crate::call::MAXIMUM_TIMESTAMP_MS {
        return Err(Fault {
            at,
            reason: "a time is past the year 10889",
        });
    }
    scanner.expect(b']')?;
    Ok(Generation { counter, raised_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, Fault> {
        let mut scanner = Scanner::new(text);
        let writes = Writes::read(&mut scanner)?;
        scanner.literal("]")?;
        Ok(writes.iter().map(str::to_owned).collect())
    }

    #[test]
    fn the_last_writes_are_kept_in_order_and_read_back() {
        let mut writes = Writes::default();
        for number in 0..KEPT_WRITES + 3 {
            writes.push(&format!("w.{number}"));
            let kept: Vec<String> = ((number + 1).saturating_sub(KEPT_WRITES)..=number)
                .map(|kept| format!("w.{kept}"))
                .collect();
            assert_eq!(writes.iter().collect::<Vec<_>>(), kept);
            assert_eq!(read(&format!("{}]", writes.0)).as_deref(), Ok(&kept[..]));
            assert!(writes.contains(&format!("w.{number}")) && !writes.contains("w") && !writes.contains(""));
        }
        assert_eq!(read("]"), Ok(Vec::new()));
    }

    #[test]
    fn names_of_writes_that_no_engine_has_written_are_refused() {
        let longest = "w".repeat(LONGEST_WRITE_ID);
        assert_eq!(read(&format!("\"{longest}\"]")), Ok(vec![longest.clone()]));
        for refused in [
            &format!("\"{longest}w\"]"),
            "\"\"]",
            "\"a,b\"]",
            "\"a\\u0062\"]",
            "\"é\"]",
            "\"a\",]",
            "\"a\" ,\"b\"]",
            "\"a\", \"b\"]",
            "\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]",
            ",\"a\"]",
        ] {
            assert!(read(refused).is_err(), "{refused}");
        }
    }
}
