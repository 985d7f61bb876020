//! The limits and times of a node.

use std::time::Duration;

use tessera_connections::Bounds;

/// The limits and times of a node.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) bounds: Bounds,
    pub(super) per_session: u32,
    pub(super) on_node: usize,
    pub(super) lifetime: Duration,
    pub(super) lease: Duration,
    pub(super) detached_for: Duration,
    pub(super) beat: Duration,
    pub(super) unjudged_for: Duration,
    pub(super) poll: Duration,
    #[cfg(feature = "api")]
    pub(super) sign_of_life: Duration,
    #[cfg(feature = "api")]
    pub(super) longest_poll: Duration,
}
