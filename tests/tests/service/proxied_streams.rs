//! Streams through a real nginx and a real Caddy, which pass each request to the next process, with the configurations that
//! `http/proxies` gives as examples.

use std::fs;
use std::path::Path;

use tessera_tests::servers::{Caddy, Nginx, RedisServer, free_port};
use tessera_tests::socket::Socket;

use crate::place;
use crate::server::Server;
use crate::streams::{Stream, login, sent};

/// Starts a proxy at an address, with these two processes behind it, and passes the rest of the test to its clients.
fn clients_continue_at_any_process<P>(start: impl FnOnce(&Path, &str, [&str; 2]) -> P) {
    let redis = RedisServer::start(&[]);
    let url = redis.url();
    let (directory, data) = place();
    let flags = ["--store", url.as_str()];
    let servers = [Server::start(&data, &flags), Server::start(&data, &flags)];
    let address = format!("127.0.0.1:{}", free_port());
    let _proxy = start(
        directory.path(),
        &address,
        [&servers[0].address, &servers[1].address],
    );
    let token = login(&servers[0], "alice");
    let cookie = format!("__Host-tessera={token}");
    let origin = format!("http://{address}");
    let page = [("Cookie", cookie.as_str()), ("Origin", &origin)];
    let mut last = String::new();
    for round in 0..4 {
        let query = format!("?after={last}");
        let mut socket = Socket::open(&address, &page, &query).expect("a socket");
        assert_eq!(socket.opened(), round > 0);
        for server in &servers {
            sent(server, &socket.name, &round.to_string());
            assert_eq!(socket.message(), round.to_string());
        }
        last.clone_from(&socket.last);
    }
    let foreign = [
        ("Cookie", cookie.as_str()),
        ("Origin", "http://elsewhere.example"),
    ];
    let refused = Socket::open(&address, &foreign, "").err().expect("a refusal");
    assert_eq!(refused.0, 403);
    // The same by server-sent events.
    let mut stream =
        Stream::open(&address, &token, &[("Last-Event-ID", &last)], "/v1/connections").expect("a stream");
    assert!(stream.opened());
    for server in &servers {
        sent(server, &stream.name, "event");
        assert_eq!(stream.message(), "event");
    }
    let [one, other] = servers;
    one.stop();
    // The stream ends, if it was of this process, and the other one takes the client.
    let mut socket = Socket::open(&address, &page, &format!("?after={}", stream.last)).expect("a socket");
    assert!(socket.opened());
    sent(&other, &socket.name, "at the other one");
    assert_eq!(socket.message(), "at the other one");
    other.stop();
}

/// A file of `http/proxies` with the addresses of this test.
fn example(file: &str, own: (&str, &str), [one, other]: [&str; 2]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../http/proxies")
        .join(file);
    let mut example = fs::read_to_string(path).expect("the example");
    for (given, actual) in [("127.0.0.1:8787", one), ("127.0.0.1:8788", other), own] {
        assert_eq!(example.matches(given).count(), 1, "{given}");
        example = example.replace(given, actual);
    }
    example
}

#[test]
fn clients_behind_nginx_continue_at_any_process() {
    clients_continue_at_any_process(|directory, address, processes| {
        let lines = example("connections.nginx.conf", ("127.0.0.1:8080", address), processes);
        Nginx::start(directory, &lines, address)
    });
}

#[test]
fn clients_behind_caddy_continue_at_any_process() {
    clients_continue_at_any_process(|directory, address, processes| {
        let (_, port) = address.split_once(':').expect("a port");
        let sites = example("connections.Caddyfile", (":8080", &format!(":{port}")), processes);
        Caddy::start(directory, &sites, address)
    });
}
