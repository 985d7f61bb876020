//! What is asked of the object that holds one record, and what it answers: the text that crosses between the two.

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::number::U64;

/// The entry in an owner's index that stands for this record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) owner: String,
    /// Which entry: another stands there once somebody has entered the record anew.
    pub(crate) entry: U64,
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

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    Get {
        now: u64,
    },
    Insert {
        now: u64,
        value: String,
        version: U64,
        expires_at: u64,
        ends_at: u64,
        listing: Listing,
    },
    Replace {
        now: u64,
        value: String,
        version: U64,
        expected: U64,
        expires_at: u64,
        ends_at: u64,
        listing: Listing,
    },
    Touch {
        now: u64,
        expires_at: u64,
    },
    /// `of`: only if it is this owner's.
    Delete {
        now: u64,
        of: Option<String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Entry {
        value: String,
        version: U64,
        expires_at: u64,
        touched_at: u64,
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
