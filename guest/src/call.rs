//! One logical call: its import calls, and the mapping of store replies to results.

use std::cell::Cell;

use crate::error::{Error, Kind};
use crate::json::decimal;
use crate::ports::{Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Ports, StoreError};

/// The maximum number of import calls in one logical call.
///
/// Lists and revocations return a cursor if more is to do. Any other call that reaches the limit fails with `Other`, or with
/// `OutcomeUnknown` if it has sent a write.
pub const MAXIMUM_IMPORT_CALLS: u32 = 32;

/// The greatest timestamp. Timestamps are below 2^48 ms, so that six bytes hold one.
pub const MAXIMUM_TIMESTAMP_MS: u64 = (1 << 48) - 1;

/// The greatest clock reading.
///
/// A generation's timestamp is greater than that of the previous one, and may therefore be ahead of the clock.
/// The difference to [`MAXIMUM_TIMESTAMP_MS`] is sufficient for all values of the counter.
const MAXIMUM_NOW_MS: u64 = MAXIMUM_TIMESTAMP_MS - u32::MAX as u64;

/// The outcome of a compare-and-swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Written, with this version.
    Done(u64),
    /// The entry has another version or guard than the expected one.
    Stale,
    /// No live entry exists.
    Missing,
}

/// The outcome of a conditional deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A live entry was removed.
    Done,
    /// No live entry existed.
    Missing,
    /// The entry does not meet the condition.
    Stale,
}

/// The state of the call's writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    /// Writes were sent, and all were certainly refused.
    Refused,
    Something,
}

/// Counts the import calls of one logical call, and maps the store's errors.
pub struct Call<'a> {
    ports: &'a dyn Ports,
    asked: Cell<u32>,
    reads: Cell<u32>,
    was_fresh: Cell<bool>,
    written: Cell<Written>,
}

impl<'a> Call<'a> {
    /// Begins a logical call, or a repeat of it.
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
        if asked > MAXIMUM_IMPORT_CALLS {
            return Err(match self.written.get() {
                Written::Nothing => Error::because(
                    Kind::Other,
                    [
                        "a call made more than ",
                        &decimal(MAXIMUM_IMPORT_CALLS.into()),
                        " import calls",
                    ]
                    .concat(),
                ),
                Written::Refused | Written::Something => Kind::OutcomeUnknown.into(),
            });
        }
        self.asked.set(asked);
        Ok(())
    }

    /// Reads the clock, and checks the range.
    pub fn now(&self) -> Result<u64, Error> {
        self.ask()?;
        let now = self.ports.now();
        if now > MAXIMUM_NOW_MS {
            return Err(Error::because(Kind::Other, "the clock is past June 10889"));
        }
        Ok(now)
    }

    /// Draws `N` random bytes.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        self.ask()?;
        let bytes = self.ports.random(N as u32);
        <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| {
            let (answered, asked) = (decimal(bytes.len() as u64), decimal(N as u64));
            Error::because(
                Kind::Other,
                ["the random source returned ", &answered, " of ", &asked, " bytes"].concat(),
            )
        })
    }

    /// Returns the store's guarantees. Not counted as an import call, because they are constant.
    pub fn describe(&self) -> Capabilities {
        self.ports.describe()
    }

    /// Reads an entry; `None` if it is missing.
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

    /// Returns the number of calls of [`get`](Self::get).
    pub fn reads(&self) -> u32 {
        self.reads.get()
    }

    /// Whether the last [`get`](Self::get) was fresh.
    pub fn was_fresh(&self) -> bool {
        self.was_fresh.get()
    }

    /// Reads many entries; `None` for those that are missing or unreadable.
    pub fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Error> {
        self.ask()?;
        let answers = self
            .ports
            .get_many(keys)
            .map_err(|error| self.failed_read(error))?;
        if answers.len() != keys.len() {
            return Err(self.failed_read(StoreError::Other(
                "get-many returned a wrong number of entries".into(),
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

    /// Writes a new entry. A conforming store never causes [`Swap::Missing`].
    pub fn insert(&self, key: &str, value: &str, at: &Placement<'_>) -> Result<Swap, Error> {
        self.ask()?;
        self.swapped(self.ports.insert(key, value, at))
    }

    /// Overwrites the expected entry.
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

    /// Moves an expiry later, and returns whether the entry exists.
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

    /// Removes an entry if it meets the condition.
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

    /// Removes many entries of one owner, and returns the number of removed ones.
    pub fn delete_many(&self, deletions: Vec<Deletion>, owner: &str) -> Result<u32, Error> {
        self.ask()?;
        self.done(self.ports.delete_many(deletions, owner))
    }

    /// Lists one page of an owner's entries.
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

    /// Notes that a write was certainly refused.
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

    /// Maps the error of a read. After a write of this call, the outcome of that write is unknown.
    fn failed_read(&self, error: StoreError) -> Error {
        let wrote = self.written.get() != Written::Nothing;
        match error {
            StoreError::Pending => Kind::Pending.into(),
            StoreError::Corrupt => Error::because(Kind::Corrupt, "the store cannot read the entry"),
            StoreError::Unsupported => Error::because(Kind::Unsupported, "this read"),
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
                Error::because(Kind::Other, "the store returned a write error for a read")
            }
        }
    }

    /// Maps the error of a write. Certain refusals keep their kind; otherwise the outcome is unknown.
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

/// The error of an invalid cursor, which comes from the caller.
pub fn malformed_cursor() -> Error {
    Error::about(Kind::InvalidArgument, "cursor", "was not returned by this call")
}
