//! The program over Redis.

use std::time::{Duration, Instant};

use serde_json::Value;
use tessera_tests::servers::RedisServer;

use crate::place;
use crate::server::{Server, run};

const PASSWORD: &str = "s3cret@";

/// A server that wants a password, and the URL that has it.
fn redis(settings: &[&str]) -> (RedisServer, String) {
    let redis = RedisServer::start(settings);
    let () = redis
        .ask(&[
            "ACL",
            "SETUSER",
            "app",
            "on",
            &format!(">{PASSWORD}"),
            "~shop:*",
            "+@all",
        ])
        .expect("a user");
    let url = format!("redis://app:s3cret%40@127.0.0.1:{}?prefix=shop:", redis.port);
    (redis, url)
}

#[test]
fn a_session_in_redis_outlives_the_service_and_is_seen_by_another_one() {
    let (_redis, url) = redis(&[]);
    let (_directory, data) = place();
    let flags = ["--store", &url, "--log", "debug"];
    let server = Server::start(&data, &flags);
    let token = server.client().create(&server.service_key(), Some("alice"));
    let mut other = Server::start(&data, &flags);
    server.process().kill();
    let session = other.client().call("GET", "/v1/session", &token, None).ok();
    assert_eq!(session["subject"], "alice");
    let told = format!("{}{}", other.printed, other.log());
    assert!(other.printed.contains("redis://127.0.0.1:"), "{}", other.printed);
    assert!(!told.contains("s3cret") && !told.contains("app:"), "{told}");
    assert!(!data.join("sessions.db").exists());
    other.tell_to_end();
    assert!(other.ended().success());
}

#[test]
fn redis_that_goes_away_is_an_outage_and_its_return_the_end_of_it() {
    let (mut redis, url) = redis(&["--appendonly", "yes", "--appendfsync", "always"]);
    // The user is the server's memory; this one outlives a restart.
    let url = url.replace("app:s3cret%40@", "");
    let (_directory, data) = place();
    let server = Server::start(&data, &["--store", &url]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    redis.kill();
    for (method, path, credentials, body) in [
        ("GET", "/v1/session", &token, None),
        ("PATCH", "/v1/session", &token, Some(r#"{"set":{"a":1}}"#)),
        ("POST", "/v1/sessions", &key, Some(r#"{"subject":"bob"}"#)),
        ("GET", "/v1/subjects/alice/sessions", &key, None),
        ("GET", "/healthz", &key, None),
    ] {
        let answer = client.call(method, path, credentials, body);
        assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
        assert!(!answer.text.contains("127.0.0.1"), "{answer:?}");
    }
    redis.restart();
    let began = Instant::now();
    while client.send("GET", "/healthz", &[], None).status != 200 {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come back");
        std::thread::sleep(Duration::from_millis(20));
    }
    client.call("GET", "/v1/session", &token, None).ok();
    server.stop();
}

#[test]
fn an_operator_lists_shows_and_ends_sessions_in_redis() {
    let (_redis, url) = redis(&[]);
    let (_directory, data) = place();
    let server = Server::start(&data, &["--store", &url]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    let session = client.call("GET", "/v1/session", &token, None).ok();
    let public_id = session["public_id"].as_str().expect("a public id");
    let at = ["--store", &url, "--data", data.to_str().expect("UTF-8")];
    let ask = |arguments: &[&str]| run(&[&["sessions"], arguments, &at].concat());
    let done = |arguments: &[&str]| {
        let (done, printed, said) = ask(arguments);
        assert!(done, "{arguments:?}: {said}");
        printed
    };
    assert!(done(&["list", "--subject", "alice"]).contains(public_id));
    for arguments in [
        &["show", "--subject", "alice", "--public-id", public_id][..],
        &["show", "--token", &token],
    ] {
        let shown: Value = serde_json::from_str(&done(arguments)).expect("JSON");
        assert_eq!(
            (&shown["subject"], &shown["public_id"]),
            (&"alice".into(), &session["public_id"])
        );
        assert!(
            shown["ends"].is_string() && shown["expires"].is_string(),
            "{shown}"
        );
    }
    assert!(done(&["list"]).contains(public_id));
    assert_eq!(done(&["count"]), "live 1\n");
    assert_eq!(done(&["revoke", "--subject", "alice"]), "ended 1\n");
    client
        .call("GET", "/v1/session", &token, None)
        .refused(401, "missing");
    server.stop();
}

#[test]
fn a_logout_at_one_service_is_seen_by_another_ones_cache() {
    let (_redis, url) = redis(&[]);
    // So long that what is seen was told.
    let cached = format!("cached+{url}?max_stale_ms=600000");
    let (_directory, data) = place();
    let flags = ["--store", &cached, "--rotation-grace", "10m"];
    let (one, other) = (Server::start(&data, &flags), Server::start(&data, &flags));
    assert!(
        one.printed.contains("cached+redis://127.0.0.1"),
        "{}",
        one.printed
    );
    let (mut client, mut elsewhere, key) = (one.client(), other.client(), one.service_key());
    // Until it listens, everything it holds is old once it does.
    for n in 0.. {
        let token = client.create(&key, Some("alice"));
        elsewhere.call("GET", "/v1/session", &token, None).ok();
        let ended = client.call("DELETE", "/v1/session", &token, None);
        assert!(matches!(ended.status, 200 | 204), "{ended:?}");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let seen = elsewhere.call("GET", "/v1/session", &token, None);
        if seen.status == 401 {
            break;
        }
        assert!(n < 100, "it never listens");
    }
    one.stop();
    other.stop();
}

#[test]
fn what_is_wrong_with_the_url_is_said_without_the_password() {
    let (redis, url) = redis(&[]);
    let (_directory, data) = place();
    let data = data.to_str().expect("UTF-8");
    let wrong = url.replace("s3cret", "wr0ng");
    let nobody = format!("redis://:wr0ng@127.0.0.1:{}", tessera_tests::servers::free_port());
    for (url, said) in [
        (wrong.as_str(), "refuses this user or password"),
        (nobody.as_str(), "cannot be reached"),
        ("redis://:wr0ng@h?color=red", "unknown"),
        ("redis+sentinel://:wr0ng@h", "the name of the master"),
    ] {
        let (done, printed, complaint) =
            run(&["serve", "--listen", "127.0.0.1:0", "--data", data, "--store", url]);
        assert!(!done && complaint.contains(said), "{url}: {printed}{complaint}");
        assert!(!complaint.contains("wr0ng"), "{complaint}");
    }
    drop(redis);
}

/// A deletion needs no room: whoever logs out is logged out.
#[test]
fn a_logout_is_done_although_redis_is_full() {
    let (redis, url) = redis(&["--maxmemory-policy", "noeviction"]);
    let (_directory, data) = place();
    let server = Server::start(&data, &["--store", &url]);
    let (mut client, key) = (server.client(), server.service_key());
    let tokens = [
        client.create(&key, Some("alice")),
        client.create(&key, Some("alice")),
    ];
    let () = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).expect("a limit");
    let [token, other] = &tokens;
    let change = Some(r#"{"set":{"a":1}}"#);
    client
        .call("PATCH", "/v1/session", token, change)
        .refused(503, "full");
    assert_eq!(client.call("DELETE", "/v1/session", token, None).status, 204);
    client
        .call("GET", "/v1/session", token, None)
        .refused(401, "missing");
    client.call("GET", "/v1/session", other, None).ok();
    let revoked = client.call("DELETE", "/v1/subjects/alice/sessions", &key, None);
    assert!((200..300).contains(&revoked.status), "{revoked:?}");
    client
        .call("GET", "/v1/session", other, None)
        .refused(401, "missing");
    server.stop();
}
