//! What an acknowledged write survives.

/// What an acknowledged write survives.
///
/// The words quoted are those of SQLite's documentation of
/// [`PRAGMA synchronous`](https://www.sqlite.org/pragma.html#pragma_synchronous).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// A killed process and the loss of power, as far as the disk keeps what it says it has written.
    ///
    /// `synchronous=FULL`: the log is synced before a write is acknowledged, once for all that wait.
    #[default]
    PowerLoss,
    /// A killed process. The loss of power, or a crash of the operating system, may take the last moments back:
    /// a logout then is undone. The file stays consistent.
    ///
    /// `synchronous=NORMAL`: “A transaction committed in WAL mode with `synchronous=NORMAL` might roll back following
    /// a power loss or system reset. Transactions are durable across application crashes regardless of the
    /// synchronous setting or journal mode.”
    ProcessCrash,
}
