//! The head of a record: all that the engine itself knows of a session.
//!
//! A record is one JSON object, its members in a fixed order, the format's version first:
//!
//! ```json
//! {"format":1,"created":1767225600000,"authenticated":1767225600000,"ends":1767312000000,"subject":"alice",
//!  "generation":[2,1767225600001],"previous":null,"floor":[2,1767225600001],"confirmed":1767225600001,
//!  "writes":["kD3f9aQx.1"],"fields":{"role":"admin"}}
//! ```
//!
//! Records of an unknown format are refused, never guessed.
//!
//! Where a session was before it moved (see `write.rs`) lies `{"format":1,"moved":"<id>"}`.

use crate::encoding;
use crate::error::{Error, Kind};
use crate::generation::{Generation, Generations};
use crate::json::{self, Fault, Scanner};
use crate::token::SessionId;

/// The version of the format that is written.
pub const FORMAT: u64 = 1;

/// How many write ids a record keeps: more than can come between a write and its author's next look at it.
pub const KEPT_WRITES: usize = 6;

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// When the session was made.
    pub created_at: u64,
    /// When its subject last authenticated.
    pub authenticated_at: Option<u64>,
    /// When it ends however much it is used.
    pub ends_at: u64,
    /// Whom it stands for.
    pub subject: Option<String>,
    /// Which tokens open it.
    pub generations: Generations,
    /// The last writes, newest last: who finds its own here knows that its write was done.
    pub writes: Vec<String>,
}

impl Head {
    /// Notes a write.
    pub fn push_write(&mut self, id: &str) {
        if self.writes.len() >= KEPT_WRITES {
            self.writes.drain(..=self.writes.len() - KEPT_WRITES);
        }
        self.writes.push(id.to_owned());
    }

    /// Writes the head, up to and with the name of the fields.
    pub fn write(&self, onto: &mut String) {
        use core::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(
            onto,
            "{{\"format\":{FORMAT},\"created\":{},\"authenticated\":",
            self.created_at
        );
        push_moment(self.authenticated_at, onto);
        let _ = write!(onto, ",\"ends\":{},\"subject\":", self.ends_at);
        match &self.subject {
            Some(subject) => json::push_string(subject, onto),
            None => onto.push_str("null"),
        }
        onto.push_str(",\"generation\":");
        push_generation(Some(self.generations.current), onto);
        onto.push_str(",\"previous\":");
        push_generation(self.generations.previous, onto);
        onto.push_str(",\"floor\":");
        push_generation(Some(self.generations.floor), onto);
        onto.push_str(",\"confirmed\":");
        push_moment(self.generations.confirmed_at, onto);
        onto.push_str(",\"writes\":[");
        for (index, write) in self.writes.iter().enumerate() {
            if index > 0 {
                onto.push(',');
            }
            json::push_string(write, onto);
        }
        onto.push_str("],\"fields\":");
    }

    /// Reads the head and leaves the scanner before the fields.
    ///
    /// # Errors
    /// `Corrupt`, with the byte and what is wrong there.
    pub fn read(scanner: &mut Scanner<'_>) -> Result<Self, Error> {
        scanner.literal("{\"format\":").map_err(corrupt)?;
        let format = scanner.unsigned().map_err(corrupt)?;
        if format != FORMAT {
            return Err(Error::because(
                Kind::Corrupt,
                format!("the record has format {format}; this engine reads format {FORMAT}"),
            ));
        }
        let head = read_members(scanner).map_err(corrupt)?;
        if head.generations.floor.counter > head.generations.current.counter {
            return Err(Error::because(
                Kind::Corrupt,
                "the floor is above the current generation",
            ));
        }
        Ok(head)
    }
}

/// What lies where a session was before it moved: the way to where it is.
const MOVED: (&str, &str) = ("{\"format\":1,\"moved\":\"", "\"}");

/// Writes the way to a session that has moved.
pub fn moved(to: SessionId) -> String {
    format!("{}{}{}", MOVED.0, encoding::encode(&to.0), MOVED.1)
}

/// Reads it; `None` for a record.
pub fn moved_to(text: &str) -> Option<SessionId> {
    let id = text.strip_prefix(MOVED.0)?.strip_suffix(MOVED.1)?;
    encoding::decode_exact(id).map(SessionId)
}

/// What is wrong with a record's text, in words that hold nothing of it.
pub fn corrupt(fault: Fault) -> Error {
    Error::because(Kind::Corrupt, format!("at byte {}: {}", fault.at, fault.reason))
}

fn read_members(scanner: &mut Scanner<'_>) -> Result<Head, Fault> {
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
    let floor = read_generation(scanner)?;
    scanner.literal(",\"confirmed\":")?;
    let confirmed_at = read_moment(scanner)?;
    scanner.literal(",\"writes\":[")?;
    let mut writes = Vec::new();
    if scanner.peek() == Some(b'"') {
        writes.push(scanner.text()?.into_owned());
        while writes.len() < KEPT_WRITES && scanner.accept(b',') {
            writes.push(scanner.text()?.into_owned());
        }
    }
    scanner.literal("],\"fields\":")?;
    let generations = Generations {
        current,
        previous,
        floor,
        confirmed_at,
    };
    Ok(Head {
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
        Some(moment) => onto.push_str(&moment.to_string()),
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
    use core::fmt::Write as _;
    match generation {
        // Writing to a string cannot fail.
        Some(Generation { counter, raised_at }) => drop(write!(onto, "[{counter},{raised_at}]")),
        None => onto.push_str("null"),
    }
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
            reason: "a moment is past the year 10889",
        });
    }
    scanner.expect(b']')?;
    Ok(Generation { counter, raised_at })
}
