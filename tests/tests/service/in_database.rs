//! Services over a database that they share.

use tessera_tests::servers::{ENCODED_PASSWORD, MariaDb, PASSWORD, Postgres, Server as Database};

use crate::place;
use crate::server::{Server, run};

/// Two services are one, and the tools look into what they keep.
fn is_shared_by_services_and_tools(database: &impl Database) {
    let (_directory, data) = place();
    let url = format!("{}?table=logins&sweep_interval_s=1", database.url());
    let flags = ["--store", &url];
    let one = Server::start(&data, &flags);
    let other = Server::start(&data, &flags);
    let (mut client, key) = (one.client(), one.service_key());
    let token = client.create(&key, Some("alice"));
    client.create(&key, Some("bob"));
    let read = other.client().call("GET", "/v1/session", &token, None).ok();
    assert_eq!(read["subject"], "alice");
    one.client().call("GET", "/healthz", "", None).ok();

    let tool = |arguments: &[&str]| {
        let place = ["--store", &url, "--data", data.to_str().expect("UTF-8")];
        let (done, printed, said) = run(&[arguments, &place].concat());
        assert!(done, "{arguments:?}: {said}");
        printed
    };
    let list = tool(&["sessions", "list"]);
    assert!(list.contains("alice") && list.contains("bob"), "{list}");
    assert_eq!(tool(&["sessions", "count"]), "live 2\nexpired, not swept yet 0\n");
    let public_id = read["public_id"].as_str().expect("a public id");
    let shown = tool(&["sessions", "show", "--subject", "alice", "--public-id", public_id]);
    assert!(shown.contains(public_id), "{shown}");
    assert_eq!(tool(&["sessions", "revoke", "--subject", "alice"]), "ended 1\n");
    one.client()
        .call("GET", "/v1/session", &token, None)
        .refused(401, "missing");

    // The database goes away and comes back.
    let token = one.client().create(&key, Some("carol"));
    database.kill();
    let down = other.client().call("GET", "/v1/session", &token, None);
    assert_eq!(down.status, 503, "{down:?}");
    assert_eq!(other.client().call("GET", "/healthz", "", None).status, 503);
    database.restart();
    other.client().call("GET", "/v1/session", &token, None).ok();

    for server in [one, other] {
        let (printed, log) = (server.printed.clone(), server.log());
        assert!(printed.contains("?table=logins"), "{printed}");
        for secret in [PASSWORD, ENCODED_PASSWORD, "cr#e", "cr%23e"] {
            assert!(
                !printed.contains(secret) && !log.contains(secret),
                "{printed}{log}"
            );
        }
        server.stop();
    }
}

#[test]
fn postgres_is_shared_by_services_and_tools() {
    is_shared_by_services_and_tools(&Postgres::start());
}

#[test]
fn mariadb_is_shared_by_services_and_tools() {
    is_shared_by_services_and_tools(&MariaDb::start());
}

#[test]
fn a_database_that_refuses_us_is_told_at_the_start() {
    let (directory, data) = place();
    let database = Postgres::start();
    let wrong = database.url().replace(ENCODED_PASSWORD, "gu%23ess");
    for (url, said) in [
        (wrong.as_str(), "user or password are refused"),
        ("postgres://u:gu%23ess@127.0.0.1:1/d", "connection refused"),
        ("mysql://u:gu#ess@127.0.0.1/d", "is not well-formed"),
        ("mysql://u:gu%23ess@127.0.0.1/d?guess=1", "unknown option"),
    ] {
        let data = data.to_str().expect("UTF-8");
        let (done, _, complaint) = run(&["serve", "--data", data, "--store", url]);
        assert!(!done && complaint.contains(said), "{complaint}");
        for secret in ["gu%23ess", "gu#ess"] {
            assert!(!complaint.contains(secret), "{complaint}");
        }
    }
    drop(directory);
}
