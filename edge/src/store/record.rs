//! What is asked of the object that holds one record, and what it answers: the text that crosses between the two.

use serde::{Deserialize, Serialize};
use tessera_contract::Timestamp;

use super::{Expected, StoreError};

/// The entry in an owner's index that stands for this record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) owner: String,
    /// Which entry: another stands there once somebody has entered the record anew.
    pub(crate) entry: u64,
}

/// Where a written record is listed from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Listing {
    /// In nobody's index.
    Nowhere,
    /// Where it is listed already, if that is this owner's index and it ends no later than is known there; else the record
    /// asks to be entered first.
    AsBefore(String),
    /// It was entered.
    Entered(Place),
}

/// A record as it is to be written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) value: String,
    pub(crate) version: u64,
    /// `None` keeps the guard of the live record; 0 where there is none.
    pub(crate) guard: Option<u64>,
    pub(crate) expires_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) listing: Listing,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Question {
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
    /// Refused as stale if a live record does not meet all the conditions that are named.
    Delete {
        now: Timestamp,
        /// It belongs to this owner.
        owner: Option<String>,
        /// It has this guard.
        guard: Option<u64>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Entry {
        value: String,
        version: u64,
        guard: u64,
        expires_at: Timestamp,
        touched_at: Timestamp,
        owner: Option<String>,
    },
    /// Written; the entry in an index that stands for it no longer, if there is one.
    Written {
        left: Option<Place>,
    },
    /// Nothing was written: the record is to be entered in its owner's index first.
    EnterFirst,
    Touched,
    Deleted {
        was_there: bool,
        left: Option<Place>,
    },
    Refused {
        error: StoreError,
    },
}
