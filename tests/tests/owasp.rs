//! What OWASP and NIST ask of sessions, statement by statement: each test is named for one and cites it.
//!
//! All of it over TCP, on the application of the HTTP tests behind a real listener, with a clock that the test sets;
//! or on the real program. The documents:
//!
//! - *Cheat Sheet*: OWASP Session Management Cheat Sheet, by section.
//! - *ASVS 5.0*: OWASP Application Security Verification Standard 5.0.0; *ASVS 4*: its version 4.0.3.
//! - *NIST*: SP 800-63B-4, by section.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "owasp/cookies.rs"]
mod cookies;
#[path = "owasp/csrf.rs"]
mod csrf;
#[path = "owasp/endings.rs"]
mod endings;
#[expect(dead_code, reason = "the tests of the layer need more of it")]
#[path = "http/fixture.rs"]
mod fixture;
#[path = "owasp/ids.rs"]
mod ids;
#[expect(dead_code, reason = "the vectors need more of it")]
#[path = "vectors/independent.rs"]
mod independent;
#[path = "owasp/keys.rs"]
mod keys;
#[path = "owasp/leaks.rs"]
mod leaks;
#[path = "owasp/macs.rs"]
mod macs;
#[path = "owasp/renewals.rs"]
mod renewals;
#[expect(dead_code, reason = "the tests of the service need more of it")]
#[path = "service/server.rs"]
mod server;
#[path = "owasp/site.rs"]
mod site;
#[path = "owasp/timeouts.rs"]
mod timeouts;
#[path = "owasp/tokens.rs"]
mod tokens;

use server::Server;
use tessera_tests::http_client as client;

/// The real program over a new directory.
fn program(flags: &[&str]) -> (tempfile::TempDir, Server) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("data"), flags);
    (directory, server)
}
