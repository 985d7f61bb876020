//! The messages between the store and the Durable Object of an owner's index.

use serde::{Deserialize, Serialize};
use tessera_contract::Timestamp;

use crate::store::StoreError;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Enters a record, or replaces its entry. Each caller draws its own entry number.
    Enter {
        now: Timestamp,
        key: String,
        ends_at: Timestamp,
        entry: u64,
    },
    /// Removes entries, each unless another caller has replaced it since.
    Leave { entries: Vec<(String, u64)> },
    /// Lists lines with keys after this one, in the order of keys.
    List { after: Option<String>, limit: u32 },
}

/// One line of the index.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) key: String,
    pub(crate) entry: String,
    pub(crate) entered_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Lines { lines: Vec<Line> },
    Refused { error: StoreError },
}
