//! Notifications of changes of records beside the mailboxes in Redis.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tessera::connections::{Changed, Mailbox as _};
use tessera::store::{RedisMailbox, RedisStore};
use tessera_tests::servers::{RedisCluster, RedisServer, ask};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

type Changes = Pin<Box<dyn Stream<Item = Changed> + Send>>;

async fn node(url: &str) -> RedisMailbox {
    let url = url.parse().expect("a URL");
    RedisMailbox::new(&RedisStore::builder().open(&url).await.expect("a store"))
}

async fn next(changes: &mut Changes) -> Changed {
    let changed = timeout(PATIENCE, changes.next()).await;
    changed.expect("a notification").expect("a stream that goes on")
}

/// Skips the losses that new connections are.
async fn next_record(changes: &mut Changes) -> Arc<str> {
    loop {
        match next(changes).await {
            Changed::Record(key) => return key,
            changed => assert_eq!(changed, Changed::Missed),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_is_written_removed_or_expires_is_reported_once_for_each_watch() {
    let server = RedisServer::start(&[]);
    let node = node(&server.url()).await;
    let mut changes: Changes = Box::pin(node.changed());
    let key: Arc<str> = Arc::from("a:{b}");
    let watch = async || node.watch_records(std::slice::from_ref(&key)).await;
    let name = format!("tessera:record:{key}");
    let commands: [&[&str]; 5] = [
        &["SET", &name, "x"],
        &["PEXPIRE", &name, "100000"],
        &["DEL", &name],
        &["SET", &name, "x", "PX", "1"],
        &["SET", &name, "x"],
    ];
    for command in commands {
        assert!(watch().await.expect("an answer"));
        let () = server.ask(command).expect("a change");
        assert_eq!(next_record(&mut changes).await, key);
    }
    assert!(watch().await.expect("an answer"));
    let () = server.ask(&["PEXPIRE", &name, "50"]).expect("a change");
    assert_eq!(next_record(&mut changes).await, key);
    assert!(watch().await.expect("an answer"));
    // Redis removes it by itself.
    assert_eq!(next_record(&mut changes).await, key);
    // Nothing watches it.
    let () = server.ask(&["SET", &name, "x"]).expect("a change");
    assert!(watch().await.expect("an answer"));
    let () = server.ask(&["FLUSHALL"]).expect("a change");
    assert_eq!(next(&mut changes).await, Changed::Missed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_in_a_cluster_are_watched_at_their_servers_also_after_a_failover() {
    let mut cluster = RedisCluster::start(&[]);
    let node = node(&cluster.url()).await;
    let mut changes: Changes = Box::pin(node.changed());
    let keys: Vec<Arc<str>> = (0..30).map(|number| format!("record-{number}").into()).collect();
    assert!(node.watch_records(&keys).await.expect("an answer"));
    let write = |cluster: &RedisCluster, key: &str| {
        let name = format!("tessera:record:{key}");
        // The server that has the slot accepts it.
        let servers = cluster.servers.iter().map(|server| server.port);
        let mut written = servers.filter(|port| ask::<()>(*port, &["SET", &name, "x"]).is_ok());
        assert!(written.next().is_some(), "{key}");
    };
    for key in &keys {
        write(&cluster, key);
        assert_eq!(next_record(&mut changes).await, *key);
    }
    assert!(node.watch_records(&keys).await.expect("an answer"));
    cluster.fail_over(0);
    while next(&mut changes).await != Changed::Missed {}
    let watched = async {
        while node.watch_records(&keys).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, watched).await.expect("a watch");
    for key in &keys {
        write(&cluster, key);
        assert_eq!(next_record(&mut changes).await, *key);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_is_not_watched_without_the_right() {
    let server = RedisServer::start(&[]);
    let () = server
        .ask(&[
            "ACL",
            "SETUSER",
            "app",
            "on",
            ">secret",
            "~*",
            "&*",
            "+@all",
            "-client|tracking",
        ])
        .expect("a user");
    let node = node(&format!("redis://app:secret@127.0.0.1:{}", server.port)).await;
    let watched = node.watch_records(&["a".into()]).await;
    assert!(!watched.expect("an answer"));
}
