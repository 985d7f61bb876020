//! The messages between the store and the Durable Object of a record.

use serde::{Deserialize, Serialize};
use tessera_contract::Timestamp;

use crate::store::{Expected, StoreError};

/// The record's entry in an owner's index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) owner: String,
    /// The number of the entry. It changes when another caller enters the record again.
    pub(crate) entry: u64,
}

/// The index that lists a written record from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Listing {
    /// In no index.
    Nowhere,
    /// In the present one, if that is this owner's index and the record ends no later than the index knows. Otherwise the
    /// answer is `EnterFirst`.
    AsBefore(String),
    /// In this one, where it was entered before the write.
    Entered(Place),
}

/// A record to write.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) value: String,
    pub(crate) version: u64,
    /// `None` keeps the guard of the live record, and is 0 if there is none.
    pub(crate) guard: Option<u64>,
    pub(crate) expires_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) listing: Listing,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Get {
        now: Timestamp,
    },
    Insert {
        now: Timestamp,
        draft: Draft,
    },
    Replace {
        now: Timestamp,
        expected: Expected,
        draft: Draft,
    },
    Touch {
        now: Timestamp,
        expires_at: Timestamp,
    },
    /// Refused as stale if a live record does not meet all given conditions.
    Delete {
        now: Timestamp,
        /// The record has this owner.
        owner: Option<String>,
        /// The record has this guard.
        guard: Option<u64>,
    },
    /// Notifies the object of a connection of each change of the guard, and of the deletion.
    Watch {
        now: Timestamp,
        connection: String,
    },
    Unwatch {
        connection: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Entry {
        value: String,
        version: u64,
        guard: u64,
        expires_at: Timestamp,
        touched_at: Timestamp,
        owner: Option<String>,
    },
    /// The record was written. `left` is the index entry that is obsolete now, if there is one.
    Written {
        left: Option<Place>,
    },
    /// Nothing was written: the record must be entered in its owner's index first.
    EnterFirst,
    Touched,
    Watched,
    Deleted {
        was_there: bool,
        left: Option<Place>,
    },
    Refused {
        error: StoreError,
    },
}
