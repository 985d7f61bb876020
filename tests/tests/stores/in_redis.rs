//! What is the Redis store's alone, and the suite over each form of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use tessera::store::{RedisStore, RedisStoreError, RedisUrl};
use tessera_tests::servers::{RedisCluster, RedisSentinels, RedisServer};
use tessera_tests::whole;

use super::*;

/// Opens a store, as its URL says.
pub(super) async fn open(url: &str) -> RedisStore {
    RedisStore::open(&parse(url)).await.expect("an open store")
}

pub(super) fn parse(url: &str) -> RedisUrl {
    url.parse().expect("a URL")
}

pub(super) fn owned_by(owner: &str, seconds: u64) -> Placement {
    Placement {
        owner: Some(owner.to_owned()),
        ..until(seconds)
    }
}

/// Everything but sweeping, which Redis does by itself.
async fn keeps_the_suite(form: &str, url: &str) {
    let stores = AtomicUsize::new(0);
    let suite = Suite::new(async || {
        let n = stores.fetch_add(1, Ordering::Relaxed);
        open(&format!("{url}?prefix={n}:")).await
    });
    let report = suite.run().await;
    let _ = writeln!(
        std::io::stderr(),
        "redis, {form}: {} properties asked",
        report.lines.len()
    );
    assert!(report.is_clean(), "{form}:\n{report}");
    let skipped: Vec<_> = report.skipped().collect();
    assert!(
        skipped.len() == 4 && skipped.iter().all(|name| name.contains("swe")),
        "{form}: only what is about sweeping may be skipped: {skipped:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_keeps_the_suite_on_one_server() {
    let server = RedisServer::start(&[]);
    keeps_the_suite("one server", &server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_keeps_the_suite_in_a_cluster() {
    let cluster = RedisCluster::start(&[]);
    keeps_the_suite("Cluster", &cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_keeps_the_suite_behind_sentinels() {
    let sentinels = RedisSentinels::start(&[]);
    keeps_the_suite("Sentinel", &sentinels.url()).await;
}

#[tokio::test]
async fn redis_shows_a_record_as_text() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let value = r#"{"format":1,"fields":{"role":"admin"}}"#;
    let at = Placement {
        guard: Some(0xa7),
        ..owned_by("alice", 60)
    };
    let version = store.insert(NOW, "key", value, &at).await.expect("inserted");
    let record: String = server.ask(&["GET", "tessera:record:key"]).expect("a string");
    let (head, text) = record.split_once('\n').expect("a line, and the text");
    assert_eq!(text, value);
    let members: Vec<&str> = head.split(' ').collect();
    let moment = |moment: Timestamp| format!("{:016}", moment.as_millis());
    assert_eq!(
        members[..3],
        ["1", &format!("{version:016x}"), "00000000000000a7"]
    );
    assert_eq!(members[4], moment(seconds(60)));
    assert_eq!(members[5], moment(NOW));
    assert_eq!(members[7..], ["005", "alice"]);
    let listed: Vec<String> = server
        .ask(&["ZRANGE", "tessera:owner:alice", "0", "-1", "WITHSCORES"])
        .expect("a sorted set");
    assert_eq!(listed[0], format!("{}:key", members[6]));
    assert_eq!(format!("{:0>16}", listed[1]), members[3]);
}

#[tokio::test]
async fn redis_removes_a_key_by_itself_an_hour_after_it_expires_and_an_index_after_its_last_end() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let lives = |key: &str| server.ask::<i64>(&["TTL", key]).expect("a time");
    let near = |seconds: i64, wanted: i64| (wanted - 30..=wanted).contains(&seconds);
    // Years away from the server's clock, which does not matter.
    let version = store
        .insert(NOW, "key", "1", &owned_by("alice", 60))
        .await
        .expect("inserted");
    assert!(
        near(lives("tessera:record:key"), 3660),
        "{}",
        lives("tessera:record:key")
    );
    assert!(near(lives("tessera:owner:alice"), 86_460 + 3600));
    store
        .touch(NOW, "key", None, seconds(600))
        .await
        .expect("touched");
    assert!(near(lives("tessera:record:key"), 4200));
    // Under another clock that is behind, a touch takes nothing away.
    store
        .touch(seconds(300), "key", None, seconds(601))
        .await
        .expect("touched");
    assert!(near(lives("tessera:record:key"), 4200));
    let at = owned_by("alice", 0);
    let at = Placement {
        expires_at: Timestamp::from_millis(0),
        ..at
    };
    store
        .replace(NOW, "key", "2", Expected::Version(version), &at)
        .await
        .expect("ended");
    assert!(near(lives("tessera:record:key"), 3600));
}

#[tokio::test]
async fn redis_trims_an_index_of_what_ended_and_of_what_is_gone_for_longer_than_any_call() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let entries = || {
        server
            .ask::<i64>(&["ZCARD", "tessera:owner:alice"])
            .expect("a number")
    };
    for key in ["ended", "gone", "stays"] {
        let at = match key {
            "ended" => Placement {
                ends_at: seconds(60),
                ..owned_by("alice", 60)
            },
            _ => owned_by("alice", 50_000),
        };
        store.insert(NOW, key, "1", &at).await.expect("inserted");
    }
    // As a host that died between the two would leave it.
    let () = server.ask(&["DEL", "tessera:record:gone"]).expect("removed");
    let listed = async |now| {
        let page = store.list_owned(now, "alice", "", 10).await.expect("listed");
        page.rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
    };
    assert_eq!(listed(NOW).await.len(), 2);
    assert_eq!(
        entries(),
        3,
        "a call that was begun an hour ago at most may still write its record"
    );
    assert_eq!(listed(seconds(3599)).await, ["stays"]);
    assert_eq!(entries(), 3);
    assert_eq!(listed(seconds(3661)).await, ["stays"]);
    assert_eq!(entries(), 1);
}

#[tokio::test]
async fn redis_leaves_no_entry_behind_when_records_move_end_or_are_refused() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let entries = |owner: &str| {
        let name = format!("tessera:owner:{owner}");
        server.ask::<i64>(&["ZCARD", &name]).expect("a number")
    };
    let version = store
        .insert(NOW, "key", "1", &owned_by("a", 60))
        .await
        .expect("inserted");
    assert!(store.insert(NOW, "key", "1", &owned_by("b", 60)).await.is_err());
    assert!(
        store
            .replace(NOW, "key", "1", Expected::Version(!version), &owned_by("b", 60))
            .await
            .is_err()
    );
    assert_eq!((entries("a"), entries("b")), (1, 0));
    // Whatever the caller says of the owner until now.
    for previous in [None, Some("a"), Some("b"), Some("x")] {
        let mut version = store.get(NOW, "key", true).await.expect("there").version;
        for (to, seconds) in [("a", 60), ("b", 90), ("b", 70), ("a", 120)] {
            let at = Placement {
                previous_owner: previous.map(str::to_owned),
                ..owned_by(to, seconds)
            };
            version = store
                .replace(NOW, "key", "1", Expected::Version(version), &at)
                .await
                .expect("replaced");
            let other = if to == "a" { "b" } else { "a" };
            assert_eq!((entries(to), entries(other)), (1, 0), "{previous:?} {to}");
        }
    }
    // Over an expired one of another owner.
    store
        .insert(seconds(130), "key", "1", &owned_by("b", 300))
        .await
        .expect("inserted");
    assert_eq!((entries("a"), entries("b")), (0, 1));
    let condition = Condition::Owner("b".to_owned());
    assert!(
        store
            .delete(seconds(130), "key", &condition)
            .await
            .expect("deleted")
    );
    assert_eq!((entries("a"), entries("b"), entries("x")), (0, 0, 0));
}

#[tokio::test]
async fn redis_asks_once_for_a_save_that_keeps_its_owner() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let at = owned_by("alice", 60);
    let version = store.insert(NOW, "key", "1", &at).await.expect("inserted");
    let at = Placement {
        previous_owner: at.owner.clone(),
        ..at
    };
    let version = store
        .replace(NOW, "key", "2", Expected::Version(version), &at)
        .await
        .expect("replaced");
    let commands = || {
        let info: String = server.ask(&["INFO", "commandstats"]).expect("info");
        let calls = |name: &str| {
            let line = info.lines().find(|line| line.starts_with(name));
            let calls = line.and_then(|line| line.split_once("calls=")?.1.split_once(','));
            calls.map_or(0, |calls| calls.0.parse::<i64>().expect("a number"))
        };
        calls("cmdstat_evalsha:") + calls("cmdstat_eval:") + calls("cmdstat_zrem:")
    };
    let before = commands();
    store
        .replace(NOW, "key", "3", Expected::Version(version), &at)
        .await
        .expect("replaced");
    assert_eq!(commands() - before, 1);
}

#[tokio::test]
async fn redis_keeps_stores_with_other_prefixes_and_databases_apart() {
    let server = RedisServer::start(&[]);
    let urls = [
        server.url(),
        format!("{}?prefix=other:", server.url()),
        format!("{}/3", server.url()),
    ];
    for url in &urls {
        let store = open(url).await;
        store
            .insert(NOW, "key", url, &owned_by("alice", 60))
            .await
            .expect("inserted");
    }
    for url in &urls {
        let store = open(url).await;
        assert_eq!(
            &*store.get(NOW, "key", true).await.expect("there").value,
            url.as_str()
        );
        let page = store.list_owned(NOW, "alice", "", 10).await.expect("listed");
        assert_eq!(page.rows.len(), 1);
    }
}

#[tokio::test]
async fn redis_loads_its_scripts_again_when_the_server_has_lost_them() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    for n in 0..3 {
        let () = server.ask(&["SCRIPT", "FLUSH"]).expect("flushed");
        store
            .insert(NOW, &n.to_string(), "1", &owned_by("alice", 60))
            .await
            .expect("inserted");
    }
    let page = store.list_owned(NOW, "alice", "", 10).await.expect("listed");
    assert_eq!(page.rows.len(), 3);
}

#[tokio::test]
async fn redis_says_that_what_something_else_has_written_is_corrupt() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let () = server.ask(&["SET", "tessera:record:text", "x"]).expect("set");
    let () = server
        .ask(&["HSET", "tessera:record:hash", "value", "x"])
        .expect("set");
    let keys = ["text", "hash", "none"].map(str::to_owned);
    let answers = store.get_many(NOW, &keys).await.expect("answered");
    assert!(matches!(answers[0], Err(StoreError::Corrupt)), "{:?}", answers[0]);
    assert!(matches!(answers[1], Err(StoreError::Corrupt)), "{:?}", answers[1]);
    assert!(matches!(answers[2], Err(StoreError::Missing)), "{:?}", answers[2]);
    for key in ["text", "hash"] {
        let inserted = store.insert(NOW, key, "1", &until(60)).await;
        assert!(
            matches!(inserted, Err(StoreError::Corrupt)),
            "{key}: {inserted:?}"
        );
        let deleted = store.delete(NOW, key, &Condition::Guard(0)).await;
        assert!(matches!(deleted, Err(StoreError::Corrupt)), "{key}: {deleted:?}");
    }
    let kept: i64 = server
        .ask(&["EXISTS", "tessera:record:text", "tessera:record:hash"])
        .expect("a number");
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn redis_lets_in_who_has_the_password_and_tells_nobody_which_it_was() {
    let password = "p@ss:w/o%rd ?#é";
    let encoded = "p%40ss%3Aw%2Fo%25rd%20%3F%23%C3%A9";
    let acl = format!(">{password}");
    let server = RedisServer::start(&[]);
    let user = ["ACL", "SETUSER", "app", "on", &acl, "~app:*", "+@all"];
    let () = server.ask(&user).expect("a user");
    let () = server
        .ask(&["ACL", "SETUSER", "weak", "on", &acl, "~app:*", "+get"])
        .expect("a user");
    let url = |user: &str, password: &str| {
        format!("redis://{user}:{password}@127.0.0.1:{}?prefix=app:", server.port)
    };

    let store = open(&url("app", encoded)).await;
    store
        .insert(NOW, "key", "1", &owned_by("alice", 60))
        .await
        .expect("inserted");

    let refused = async |url: String| {
        let error = RedisStore::open(&parse(&url)).await.expect_err("not let in");
        let text = whole(&error);
        for secret in ["p@ss", "p%40", "wr0ng", "alice"] {
            assert!(!text.contains(secret), "{text}");
        }
        error
    };
    assert!(matches!(
        refused(url("app", "wr0ng")).await,
        RedisStoreError::Refused(_)
    ));
    assert!(matches!(
        refused(url("alice", encoded)).await,
        RedisStoreError::Refused(_)
    ));
    assert!(matches!(
        refused(url("weak", encoded)).await,
        RedisStoreError::Forbidden(_)
    ));
    let elsewhere = url("app", encoded).replace("prefix=app:", "prefix=other:");
    assert!(matches!(refused(elsewhere).await, RedisStoreError::Forbidden(_)));
    let () = server.ask(&["ACL", "SETUSER", "default", "off"]).expect("off");
    assert!(matches!(refused(server.url()).await, RedisStoreError::Refused(_)));
}

#[tokio::test]
async fn redis_that_nobody_serves_is_said_to_be_unreachable() {
    let port = tessera_tests::servers::free_port();
    for url in ["redis://", "redis+cluster://", "redis+sentinel://"] {
        let master = if url.contains("sentinel") { "/m" } else { "" };
        let url = format!("{url}:s3cret@127.0.0.1:{port}{master}");
        let error = RedisStore::open(&parse(&url)).await.expect_err("nobody there");
        assert!(
            matches!(error, RedisStoreError::Unreachable(_)),
            "{url}: {error:?}"
        );
        assert!(!whole(&error).contains("s3cret"));
    }
}

/// A certificate for the loopback address and who signed it, as PEM files.
fn certificates(directory: &Path) {
    let make = |arguments: &[&str]| {
        let mut openssl = std::process::Command::new("openssl");
        let made = openssl.args(arguments).current_dir(directory).output();
        let made = made.expect("openssl is installed by `cargo xtask test`");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ];
    make(
        &[
            &[
                "req",
                "-x509",
                "-subj",
                "/CN=test CA",
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
            ],
            &key[..],
        ]
        .concat(),
    );
    let server = [
        "req",
        "-x509",
        "-subj",
        "/CN=redis",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-keyout",
        "redis.key",
        "-out",
        "redis.pem",
    ];
    make(&[&server[..], &key[..]].concat());
}

#[tokio::test]
async fn redis_is_spoken_to_over_tls_if_its_certificate_is_signed_by_who_is_trusted() {
    let directory = TempDir::new().expect("a directory");
    certificates(directory.path());
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let tls_port = tessera_tests::servers::free_port();
    let _server = RedisServer::start(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &path("redis.pem"),
        "--tls-key-file",
        &path("redis.key"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://127.0.0.1:{tls_port}");
    let store = open(&format!("{url}?ca={}", path("ca.pem"))).await;
    store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    assert_eq!(&*store.get(NOW, "key", true).await.expect("there").value, "1");

    let untrusted = RedisStore::open(&parse(&url))
        .await
        .expect_err("nobody vouches for it");
    assert!(
        matches!(untrusted, RedisStoreError::Unreachable(_)),
        "{untrusted:?}"
    );
    let text = whole(&untrusted);
    assert!(text.contains("certificate"), "{text}");
    let missing = RedisStore::open(&parse(&format!("{url}?ca={}", path("none.pem")))).await;
    assert!(matches!(missing, Err(RedisStoreError::Certificate { .. })));
    let broken = RedisStore::open(&parse(&format!("{url}?ca={}", path("redis.key")))).await;
    assert!(broken.is_err());
}
