//! A Redis that removes keys when memory is short is no store: an index may go, and its sessions stay.

use std::time::Duration;

use tessera::store::{Condition, Deletion, RedisStore, RedisStoreError};
use tessera_tests::servers::{RedisCluster, RedisServer};

use super::in_redis::{open, owned_by, parse};
use super::*;

const EVICTING: [&str; 7] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

#[tokio::test]
async fn a_server_that_evicts_is_refused_by_the_name_of_its_policy() {
    let server = RedisServer::start(&[]);
    for policy in EVICTING {
        let () = server
            .ask(&["CONFIG", "SET", "maxmemory-policy", policy])
            .expect("set");
        let refused = RedisStore::open(&parse(&server.url())).await;
        assert!(
            matches!(&refused, Err(RedisStoreError::Evicts { policy: named }) if named == policy),
            "{refused:?}"
        );
    }
    let unchecked = format!("{}?check_eviction=no", server.url());
    RedisStore::open(&parse(&unchecked)).await.expect("not looked at");
    let () = server
        .ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .expect("set");
    open(&server.url()).await;
}

#[tokio::test]
async fn one_node_of_a_cluster_that_evicts_is_enough() {
    let cluster = RedisCluster::start(&[]);
    open(&cluster.url()).await;
    let set = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
    let () = cluster.servers[1].ask(&set).expect("set");
    let refused = RedisStore::open(&parse(&cluster.url())).await;
    assert!(
        matches!(refused, Err(RedisStoreError::Evicts { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_user_who_cannot_look_is_refused_unless_the_url_vouches_for_the_policy() {
    let server = RedisServer::start(&[]);
    let user = [
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">secret",
        "~tessera:*",
        "+@all",
        "-info",
    ];
    let () = server.ask(&user).expect("a user");
    let url = format!("redis://app:secret@127.0.0.1:{}", server.port);
    let refused = RedisStore::open(&parse(&url)).await.expect_err("it cannot look");
    assert!(
        matches!(refused, RedisStoreError::EvictionUnknown(_)),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("check_eviction=no"), "{refused}");
    RedisStore::open(&parse(&format!("{url}?check_eviction=no")))
        .await
        .expect("vouched for");
    for wrong in ["", "false", "NO"] {
        assert!(
            format!("{url}?check_eviction={wrong}")
                .parse::<tessera::store::RedisUrl>()
                .is_err()
        );
    }
}

/// Until the store has looked again.
async fn eventually<T, F: Future<Output = Result<T, StoreError>>>(call: impl Fn() -> F, is_refused: bool) {
    for _ in 0..1000 {
        match call().await {
            Ok(_) if !is_refused => return,
            Err(StoreError::Unavailable(_)) if is_refused => return,
            Ok(_) | Err(StoreError::Unavailable(_) | StoreError::Stale) => {}
            Err(error) => panic!("{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not look again");
}

#[tokio::test]
async fn a_policy_that_changes_later_stops_writes_and_lists_and_no_logout() {
    let server = RedisServer::start(&[]);
    let builder = RedisStore::builder().eviction_check_interval(Duration::from_millis(10));
    let store = builder.open(&parse(&server.url())).await.expect("opened");
    let at = owned_by("alice", 60);
    for key in ["one", "two"] {
        store.insert(NOW, key, "1", &at).await.expect("inserted");
    }
    let () = server
        .ask(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"])
        .expect("set");
    eventually(|| store.list_owned(NOW, "alice", "", 10), true).await;
    let unavailable = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    };
    unavailable(store.insert(NOW, "three", "1", &at).await.map(drop));
    unavailable(
        store
            .replace(NOW, "two", "2", Expected::Guard(0), &at)
            .await
            .map(drop),
    );
    let deletion = Deletion {
        key: "two".into(),
        guard: None,
    };
    unavailable(store.delete_many(NOW, &[deletion], "alice").await.map(drop));
    store.get(NOW, "two", true).await.expect("read");
    assert!(
        store
            .delete(NOW, "one", &Condition::Guard(0))
            .await
            .expect("deleted")
    );

    let () = server
        .ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .expect("set");
    eventually(|| store.insert(NOW, "three", "1", &at), false).await;
    assert_eq!(
        store
            .list_owned(NOW, "alice", "", 10)
            .await
            .expect("listed")
            .rows
            .len(),
        2
    );
}
