//! An operator's listing of a store: its entries, with and without an owner.

use std::fmt;
use std::sync::Arc;

use super::Placement;
use tessera_contract::Timestamp;

/// One page of a store's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// About as many entries as requested.
    pub rows: Vec<Listed>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// One entry. `Debug` shows neither key nor owner nor value.
#[derive(Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// The owner whose index lists the entry.
    pub owner: Option<String>,
    /// The version.
    pub version: u64,
    /// The guard.
    pub guard: u64,
    /// The moment of the last write or touch.
    pub touched_at: Timestamp,
    /// The expiry, which a touch moves later.
    pub expires_at: Timestamp,
    /// The latest expiry that a touch can reach.
    pub ends_at: Timestamp,
    /// The text; `None` if the listing omits it because of its size.
    pub value: Option<Arc<str>>,
}

impl Listed {
    /// The placement with which the entry is written.
    pub fn placement(&self) -> Placement {
        Placement {
            owner: self.owner.clone(),
            previous_owner: None,
            guard: Some(self.guard),
            expires_at: self.expires_at,
            ends_at: self.ends_at,
        }
    }
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listed")
            .field("version", &self.version)
            .field("touched_at", &self.touched_at)
            .field("expires_at", &self.expires_at)
            .field("ends_at", &self.ends_at)
            .finish_non_exhaustive()
    }
}
