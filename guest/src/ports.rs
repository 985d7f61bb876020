//! The engine's imports as a trait, with the types of `wit/store.wit`, `wit/clock.wit` and `wit/random.wit`.

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record's text.
    pub value: String,
    /// Compared for equality only.
    pub version: u64,
    /// Changes with each write that changes which tokens are valid; compared for equality only.
    pub guard: u64,
    /// The entry is missing from this moment on, in milliseconds since 1970.
    pub expires_at: u64,
}

/// The owner, guard and lifetime of a written record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement<'a> {
    /// The owner whose index lists the record after the write.
    pub owner: Option<&'a str>,
    /// The owner whose index listed the record before the write.
    pub previous_owner: Option<&'a str>,
    /// The new guard; `None` keeps the existing one.
    pub guard: Option<u64>,
    /// When the entry expires unless it is touched.
    pub expires_at: u64,
    /// When the entry expires regardless of touches.
    pub ends_at: u64,
}

/// One row of an owner's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record's key.
    pub key: String,
    /// The record's version.
    pub version: u64,
    /// The record's guard.
    pub guard: u64,
    /// When the record was last written or touched.
    pub touched_at: u64,
    /// When the record expires unless it is touched.
    pub expires_at: u64,
    /// The record's text, where the store returns it with the row.
    pub value: Option<String>,
}

/// The entry that a replacement may overwrite; `expected` in `wit/store.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/store.wit")]
pub enum Expected {
    Version(u64),
    Guard(u64),
}

/// The entry that a deletion may remove; `condition` in `wit/store.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/store.wit")]
pub enum Condition<'a> {
    Owner(&'a str),
    Guard(u64),
}

/// One entry of a deletion of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The record's key.
    pub key: String,
    /// Removes the entry only while it has this guard; `None`: with any guard.
    pub guard: Option<u64>,
}

/// One page of an owner's index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most as many rows as requested.
    pub rows: Vec<Row>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// The error of a store; `error` in `wit/store.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/store.wit")]
pub enum StoreError {
    Pending,
    Missing,
    Stale,
    TooLarge,
    Full,
    Throttled(u64),
    Unsupported,
    MalformedCursor,
    Corrupt,
    OutcomeUnknown,
    Unavailable(String),
    Other(String),
}

/// The guarantees of a store; `capabilities` in `wit/store.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/store.wit")]
pub struct Capabilities {
    pub compare_and_swap: bool,
    pub list_by_owner: bool,
    pub acknowledged_writes_survive_failover: bool,
    pub maximum_staleness_ms: u64,
    pub index_staleness_ms: u64,
    pub minimum_ttl_ms: u64,
    pub expiry_resolution_ms: u64,
    pub minimum_write_interval_ms: u64,
    pub maximum_key_bytes: u32,
    pub maximum_owner_bytes: u32,
    pub maximum_value_bytes: u32,
}

/// The engine's imports. Within one logical call, every repeat of an operation must return the same reply.
#[expect(missing_docs, reason = "each function is described in wit/")]
pub trait Ports {
    fn now(&self) -> u64;
    fn random(&self, count: u32) -> Vec<u8>;
    fn describe(&self) -> Capabilities;
    fn get(&self, key: &str, fresh: bool) -> Result<Entry, StoreError>;
    fn get_many(&self, keys: &[String]) -> Result<Vec<Result<Entry, StoreError>>, StoreError>;
    fn insert(&self, key: &str, value: &str, at: &Placement<'_>) -> Result<u64, StoreError>;
    fn replace(
        &self,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement<'_>,
    ) -> Result<u64, StoreError>;
    fn touch(&self, key: &str, owner: Option<&str>, expires_at: u64) -> Result<(), StoreError>;
    fn delete(&self, key: &str, condition: Condition<'_>) -> Result<bool, StoreError>;
    fn delete_many(&self, deletions: Vec<Deletion>, owner: &str) -> Result<u32, StoreError>;
    fn list_owned(&self, owner: &str, cursor: &str, limit: u32) -> Result<Page, StoreError>;
}
