//! The real program, spoken to over HTTP as its users do.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

#[path = "service/auth.rs"]
mod auth;
#[path = "service/bodies.rs"]
mod bodies;
#[path = "service/browser.rs"]
mod browser;
#[path = "service/caddy.rs"]
mod caddy;
#[path = "service/commands.rs"]
mod commands;
#[path = "service/connections.rs"]
mod connections;
#[path = "service/credentials.rs"]
mod credentials;
#[path = "service/demo.rs"]
mod demo;
#[path = "service/disk_full.rs"]
mod disk_full;
#[path = "service/in_database.rs"]
mod in_database;
#[path = "service/keys.rs"]
mod keys;
#[path = "service/limits.rs"]
mod limits;
#[path = "service/loss.rs"]
mod loss;
#[path = "service/migrate.rs"]
mod migrate;
#[path = "service/nginx.rs"]
mod nginx;
#[path = "service/openapi.rs"]
mod openapi;
#[path = "service/outage.rs"]
mod outage;
#[path = "service/pages.rs"]
mod pages;
#[path = "service/polling.rs"]
mod polling;
#[path = "service/proxied_streams.rs"]
mod proxied_streams;
#[path = "service/read_only.rs"]
mod read_only;
#[path = "service/redis.rs"]
mod redis;
#[path = "service/server.rs"]
mod server;
#[path = "service/slow.rs"]
mod slow;
#[path = "service/start.rs"]
mod start;
#[path = "service/streams.rs"]
mod streams;
#[path = "service/transports.rs"]
mod transports;
#[path = "service/walk.rs"]
mod walk;
#[path = "service/websocket.rs"]
mod websocket;

use std::path::PathBuf;

use server::Server;
use tessera_tests::http_client as client;

/// A directory that is removed at the end, and in it the one for the program, which does not exist yet.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    (directory, data)
}

/// A server over a new directory.
fn serve(flags: &[&str]) -> (tempfile::TempDir, Server) {
    let (directory, data) = place();
    let server = Server::start(&data, flags);
    (directory, server)
}

/// A token with one character of its mac changed.
fn forged(token: &str) -> String {
    // Not the last: its lowest bits are padding, and others there would be malformed.
    let at = token.len() - 2;
    let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}
