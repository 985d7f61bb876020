//! Sessions over HTTP: the layer, the extractors, the transports and the guard against forged requests, in an axum application.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "http/after.rs"]
mod after;
#[path = "http/caches.rs"]
mod caches;
#[path = "http/cookies.rs"]
mod cookies;
#[path = "http/csrf.rs"]
mod csrf;
#[path = "http/example.rs"]
mod example;
#[path = "http/fixture.rs"]
mod fixture;
#[path = "http/lazy.rs"]
mod lazy;
#[path = "http/logins.rs"]
mod logins;
#[path = "http/nested.rs"]
mod nested;
#[path = "http/returns.rs"]
mod returns;
#[path = "http/tabs.rs"]
mod tabs;
#[path = "http/transports.rs"]
mod transports;
#[path = "http/twins.rs"]
mod twins;
#[path = "http/work.rs"]
mod work;
