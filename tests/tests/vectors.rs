//! Tokens against published vectors and against a list of every way to get one wrong, through the component's own checks.
//!
//! What a token should be is worked out here by code of its own (`vectors/independent.rs`), never by the engine's.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "vectors/claims.rs"]
mod claims;
#[path = "vectors/compact.rs"]
mod compact;
#[path = "vectors/confusion.rs"]
mod confusion;
#[path = "vectors/forms.rs"]
mod forms;
#[path = "vectors/headers.rs"]
mod headers;
#[path = "vectors/hmac_component.rs"]
mod hmac_component;
#[path = "vectors/hmac_native.rs"]
mod hmac_native;
#[path = "vectors/independent.rs"]
mod independent;
#[path = "vectors/login.rs"]
mod login;
#[path = "vectors/macs.rs"]
mod macs;
#[path = "vectors/rfc4231.rs"]
mod rfc4231;
#[path = "vectors/rfc7515.rs"]
mod rfc7515;
#[path = "vectors/sweep.rs"]
mod sweep;
#[path = "vectors/tally.rs"]
mod tally;
