//! The durability of acknowledged writes.

/// What an acknowledged write survives.
///
/// The quotation is from SQLite's documentation of
/// [`PRAGMA synchronous`](https://www.sqlite.org/pragma.html#pragma_synchronous).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// A killed process and the loss of power, provided that the disk keeps the data that it reports as written.
    ///
    /// `synchronous=FULL`: the log is synced before writes are acknowledged, once for each transaction.
    #[default]
    PowerLoss,
    /// A killed process. A loss of power or a crash of the operating system may undo the last writes, a logout among them.
    /// The file stays consistent.
    ///
    /// `synchronous=NORMAL`: “A transaction committed in WAL mode with `synchronous=NORMAL` might roll back following
    /// a power loss or system reset. Transactions are durable across application crashes regardless of the
    /// synchronous setting or journal mode.”
    ProcessCrash,
}
