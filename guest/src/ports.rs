//! What the engine asks of the world, as `wit/store.wit`, `clock.wit` and `random.wit` say it.

/// A record as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The text.
    pub value: String,
    /// Compared for equality only.
    pub version: u64,
    /// Changes with each write that changes which tokens are good; compared for equality only.
    pub guard: u64,
    /// Milliseconds since 1970; from then on the entry is missing.
    pub expires_at: u64,
}

/// Where a written record belongs and how long it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement<'a> {
    /// Whose index lists it from now on.
    pub owner: Option<&'a str>,
    /// Whose index listed it until now.
    pub previous_owner: Option<&'a str>,
    /// The guard from now on; `None` keeps the one that is there.
    pub guard: Option<u64>,
    /// When it expires unless it is touched.
    pub expires_at: u64,
    /// When it expires however often it is touched.
    pub ends_at: u64,
}

/// One line of an owner's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record's key.
    pub key: String,
    /// The record's version.
    pub version: u64,
    /// The record's guard.
    pub guard: u64,
    /// When it was last written or touched.
    pub touched_at: u64,
    /// When it expires.
    pub expires_at: u64,
    /// The text, where the store brings it along.
    pub value: Option<String>,
}

/// Which entry a replacement may write over; `store.expected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/store.wit")]
pub enum Expected {
    Version(u64),
    Guard(u64),
}

/// Which entry a deletion may remove; `store.condition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/store.wit")]
pub enum Condition<'a> {
    Owner(&'a str),
    Guard(u64),
}

/// One entry of several to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The record's key.
    pub key: String,
    /// Only while the entry has this guard; `None`: whatever guard it has.
    pub guard: Option<u64>,
}

/// A part of an owner's index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most as many as asked for.
    pub rows: Vec<Row>,
    /// Asks for the rest.
    pub next: Option<String>,
}

/// Why a store did not do as asked; the cases of `store.error`.
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

/// What a store promises.
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

/// The imports. Every answer of one logical call stays the same in all its passes.
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
