//! What an operator sees of a store: its entries, whoever owns them.

use std::fmt;
use std::sync::Arc;

use super::Placement;
use tessera_contract::Timestamp;

/// A part of all entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// About as many as were asked for.
    pub rows: Vec<Listed>,
    /// The cursor of the next part; `None` at the end.
    pub next: Option<String>,
}

/// One entry. `Debug` shows neither key nor owner nor value.
#[derive(Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Whose index lists it.
    pub owner: Option<String>,
    /// The version.
    pub version: u64,
    /// The guard.
    pub guard: u64,
    /// When it was last written or touched.
    pub touched_at: Timestamp,
    /// When it expires unless it is touched.
    pub expires_at: Timestamp,
    /// When it expires however often it is touched.
    pub ends_at: Timestamp,
    /// The text; `None` where a listing does not bring it along because of its size.
    pub value: Option<Arc<str>>,
}

impl Listed {
    /// Where the record belongs and how long it lives, as a write of it says.
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
