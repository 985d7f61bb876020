//! Connections of sessions over several nodes: delivery, coming back, taking over, and the end with the session.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]

#[path = "connections/batches.rs"]
mod batches;
#[path = "connections/delivery.rs"]
mod delivery;
#[path = "connections/fixture.rs"]
mod fixture;
#[path = "connections/forward.rs"]
mod forward;
#[path = "connections/leases.rs"]
mod leases;
#[path = "connections/leftovers.rs"]
mod leftovers;
#[path = "connections/limits.rs"]
mod limits;
#[path = "connections/lists.rs"]
mod lists;
#[path = "connections/outages.rs"]
mod outages;
#[path = "connections/reads.rs"]
mod reads;
#[path = "connections/revoked.rs"]
mod revoked;
#[path = "connections/sessions.rs"]
mod sessions;
#[path = "connections/silence.rs"]
mod silence;
