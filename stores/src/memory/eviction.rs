//! What a full store does.

/// What a [`MemoryStore`](super::MemoryStore) does when it holds as many entries as it may and another is inserted.
///
/// First, whatever the policy, the entry that expired longest ago by the `now` of the insert makes room.
/// [`SWEEP_GRACE`](crate::SWEEP_GRACE) does not hold here: it protects hosts whose clocks differ,
/// and nobody but this process, with its one clock, can see this store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Eviction {
    /// The insert is refused with [`StoreError::Full`](crate::StoreError::Full). Nobody who is logged in is logged out.
    #[default]
    Refuse,
    /// Of all live entries the one that expires soonest is removed: with an idle timeout, the one longest unused.
    SoonestExpiry,
}
