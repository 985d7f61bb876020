//! One logical call: the questions it may ask, and what an answer from the store means for it.

use std::cell::Cell;

use crate::error::{Error, Kind};
use crate::json::decimal;
use crate::ports::{Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Ports, StoreError};

/// The most questions one logical call asks. What has more to do answers a cursor.
pub const MAXIMUM_QUESTIONS: u32 = 32;

/// Moments are below 2^48 ms, so that six bytes hold one.
pub const MAXIMUM_TIMESTAMP_MS: u64 = (1 << 48) - 1;

/// A generation is raised later than the one before it, if need be by a millisecond that has not come yet: room for as many
/// as can be counted.
const MAXIMUM_NOW_MS: u64 = MAXIMUM_TIMESTAMP_MS - u32::MAX as u64;

/// How a compare-and-swap ended, where the store answered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Written, with this version.
    Done(u64),
    /// Another version or guard is there than the expected one.
    Stale,
    /// Nothing is there.
    Missing,
}

/// How a conditional deletion ended, where the store answered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The entry is gone, and was live.
    Done,
    /// No live entry was there.
    Missing,
    /// The condition does not hold for the entry that is there.
    Stale,
}

/// How far this call's writes have come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    /// Writes were asked, and each was refused for certain.
    Refused,
    Something,
}

/// The questions of one logical call, counted, and its store errors judged.
pub struct Call<'a> {
    ports: &'a dyn Ports,
    asked: Cell<u32>,
    reads: Cell<u32>,
    was_fresh: Cell<bool>,
    written: Cell<Written>,
}

impl<'a> Call<'a> {
    /// Begins a logical call, or its repeat.
    pub fn new(ports: &'a dyn Ports) -> Self {
        Self {
            ports,
            asked: Cell::new(0),
            reads: Cell::new(0),
            was_fresh: Cell::new(false),
            written: Cell::new(Written::Nothing),
        }
    }

    fn ask(&self) -> Result<(), Error> {
        let asked = self.asked.get() + 1;
        if asked > MAXIMUM_QUESTIONS {
            return Err(match self.written.get() {
                Written::Nothing => Error::because(
                    Kind::Other,
                    [
                        "a call asked more than ",
                        &decimal(MAXIMUM_QUESTIONS.into()),
                        " questions",
                    ]
                    .concat(),
                ),
                Written::Refused | Written::Something => Kind::OutcomeUnknown.into(),
            });
        }
        self.asked.set(asked);
        Ok(())
    }

    /// The time, in range.
    pub fn now(&self) -> Result<u64, Error> {
        self.ask()?;
        let now = self.ports.now();
        if now > MAXIMUM_NOW_MS {
            return Err(Error::because(Kind::Other, "the clock is past June 10889"));
        }
        Ok(now)
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        self.ask()?;
        let bytes = self.ports.random(N as u32);
        <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| {
            let (answered, asked) = (decimal(bytes.len() as u64), decimal(N as u64));
            Error::because(
                Kind::Other,
                ["the random source answered ", &answered, " of ", &asked, " bytes"].concat(),
            )
        })
    }

    /// What the store promises. Not a question: it never changes.
    pub fn describe(&self) -> Capabilities {
        self.ports.describe()
    }

    /// Reads an entry; `None` is a missing one.
    pub fn get(&self, key: &str, fresh: bool) -> Result<Option<Entry>, Error> {
        self.ask()?;
        self.reads.set(self.reads.get() + 1);
        self.was_fresh.set(fresh);
        match self.ports.get(key, fresh) {
            Ok(entry) => Ok(Some(entry)),
            Err(StoreError::Missing) => Ok(None),
            Err(error) => Err(self.failed_read(error)),
        }
    }

    /// How many entries were read, one at a time.
    pub fn reads(&self) -> u32 {
        self.reads.get()
    }

    /// Whether the last of them had to be fresh.
    pub fn was_fresh(&self) -> bool {
        self.was_fresh.get()
    }

    /// Reads many entries; those that are missing or unreadable are `None`.
    pub fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Error> {
        self.ask()?;
        let answers = self
            .ports
            .get_many(keys)
            .map_err(|error| self.failed_read(error))?;
        if answers.len() != keys.len() {
            return Err(self.failed_read(StoreError::Other(
                "get-many answered another number of entries".into(),
            )));
        }
        answers
            .into_iter()
            .map(|answer| match answer {
                Ok(entry) => Ok(Some(entry)),
                Err(StoreError::Missing | StoreError::Corrupt) => Ok(None),
                Err(error) => Err(self.failed_read(error)),
            })
            .collect()
    }

    /// Writes a new entry. `Missing` is no outcome of it.
    pub fn insert(&self, key: &str, value: &str, at: &Placement<'_>) -> Result<Swap, Error> {
        self.ask()?;
        self.swapped(self.ports.insert(key, value, at))
    }

    /// Writes over the entry that is expected.
    pub fn replace(
        &self,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement<'_>,
    ) -> Result<Swap, Error> {
        self.ask()?;
        self.swapped(self.ports.replace(key, value, expected, at))
    }

    /// Moves an expiry later; answers whether the entry was there.
    pub fn touch(&self, key: &str, owner: Option<&str>, expires_at: u64) -> Result<bool, Error> {
        self.ask()?;
        match self.ports.touch(key, owner, expires_at) {
            Ok(()) => {
                self.written.set(Written::Something);
                Ok(true)
            }
            Err(StoreError::Missing) => Ok(false),
            Err(error) => Err(self.failed_write(error)),
        }
    }

    /// Removes an entry while the condition holds.
    pub fn delete(&self, key: &str, condition: Condition<'_>) -> Result<Removal, Error> {
        self.ask()?;
        match self.ports.delete(key, condition) {
            Err(StoreError::Stale) => {
                self.refused();
                Ok(Removal::Stale)
            }
            answer => self
                .done(answer)
                .map(|was_live| if was_live { Removal::Done } else { Removal::Missing }),
        }
    }

    /// Removes many entries of one owner; answers how many were removed.
    pub fn delete_many(&self, deletions: Vec<Deletion>, owner: &str) -> Result<u32, Error> {
        self.ask()?;
        self.done(self.ports.delete_many(deletions, owner))
    }

    /// Lists an owner's entries.
    pub fn list_owned(&self, owner: &str, cursor: &str, limit: u32) -> Result<Page, Error> {
        self.ask()?;
        self.ports
            .list_owned(owner, cursor, limit)
            .map_err(|error| self.failed_read(error))
    }

    fn done<T>(&self, answer: Result<T, StoreError>) -> Result<T, Error> {
        match answer {
            Ok(value) => {
                self.written.set(Written::Something);
                Ok(value)
            }
            Err(error) => Err(self.failed_write(error)),
        }
    }

    /// A write was refused for certain.
    fn refused(&self) {
        if self.written.get() == Written::Nothing {
            self.written.set(Written::Refused);
        }
    }

    fn swapped(&self, answer: Result<u64, StoreError>) -> Result<Swap, Error> {
        match answer {
            Ok(version) => {
                self.written.set(Written::Something);
                Ok(Swap::Done(version))
            }
            Err(error @ (StoreError::Stale | StoreError::Missing)) => {
                self.refused();
                Ok(if error == StoreError::Stale {
                    Swap::Stale
                } else {
                    Swap::Missing
                })
            }
            Err(error) => Err(self.failed_write(error)),
        }
    }

    /// A read that failed after a write was asked leaves open how that write ended.
    fn failed_read(&self, error: StoreError) -> Error {
        let wrote = self.written.get() != Written::Nothing;
        match error {
            StoreError::Pending => Kind::Pending.into(),
            StoreError::Corrupt => Error::because(Kind::Corrupt, "the store cannot read the entry"),
            StoreError::Unsupported => Error::because(Kind::Unsupported, "this question"),
            StoreError::MalformedCursor => malformed_cursor(),
            _ if wrote => Kind::OutcomeUnknown.into(),
            StoreError::Throttled(pause) => Error::throttled(pause),
            StoreError::Unavailable(why) => Error::because(Kind::Unavailable, why),
            StoreError::Other(why) => Error::because(Kind::Other, why),
            StoreError::Missing
            | StoreError::Stale
            | StoreError::TooLarge
            | StoreError::Full
            | StoreError::OutcomeUnknown => {
                Error::because(Kind::Other, "the store answered a read as if it were a write")
            }
        }
    }

    /// A write that was refused for certain says so; of any other the outcome is unknown.
    fn failed_write(&self, error: StoreError) -> Error {
        let wrote_before = self.written.get() == Written::Something;
        match error {
            StoreError::Pending => Kind::Pending.into(),
            _ if wrote_before => Kind::OutcomeUnknown.into(),
            StoreError::TooLarge => Error::limit(
                "maximum-value-bytes of the store",
                self.describe().maximum_value_bytes,
            ),
            StoreError::Full => Kind::Full.into(),
            StoreError::Throttled(pause) => Error::throttled(pause),
            StoreError::Unsupported => Error::because(Kind::Unsupported, "this write"),
            StoreError::Missing
            | StoreError::Stale
            | StoreError::MalformedCursor
            | StoreError::Corrupt
            | StoreError::OutcomeUnknown
            | StoreError::Unavailable(_)
            | StoreError::Other(_) => Kind::OutcomeUnknown.into(),
        }
    }
}

/// A cursor comes from the caller, who may have made it up.
pub fn malformed_cursor() -> Error {
    Error::about(
        Kind::InvalidArgument,
        "cursor",
        "is not one that this call answered",
    )
}
