//! What is asked of the object that holds an owner's index, and what it answers.

use serde::{Deserialize, Serialize};
use tessera_contract::Timestamp;

use super::StoreError;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Enters a record, or enters it anew: whoever enters gets an entry of their own.
    Enter {
        now: Timestamp,
        key: String,
        ends_at: Timestamp,
        entry: u64,
    },
    /// Takes entries away, each only if nobody has entered the record anew.
    Leave { entries: Vec<(String, u64)> },
    /// Keys after this one, in their order.
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
pub(crate) enum Answer {
    Done,
    Lines { lines: Vec<Line> },
    Refused { error: StoreError },
}
