//! The behaviour of a full store.

/// What an insert into a full [`MemoryStore`](super::MemoryStore) does.
///
/// With either policy, the insert first removes the entry that expired longest ago by its `now`.
/// [`SWEEP_GRACE`](crate::SWEEP_GRACE) does not apply, because it protects hosts with different clocks, and only this process
/// uses the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Eviction {
    /// The insert fails with [`StoreError::Full`](crate::StoreError::Full). No live session ends.
    #[default]
    Refuse,
    /// The live entry that expires soonest is removed: with an idle timeout, the one that was unused longest.
    SoonestExpiry,
}
