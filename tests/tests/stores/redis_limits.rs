//! How little is enough: memory, rights, and what a list brings along.

use tessera::store::Listed;
use tessera_tests::servers::RedisServer;

use super::in_redis::{open, owned_by};
use super::*;

#[tokio::test]
async fn redis_that_is_full_refuses_writes_reads_on_and_takes_them_again() {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]);
    let store = open(&server.url()).await;
    let version = store
        .insert(NOW, "key", "1", &owned_by("alice", 60))
        .await
        .expect("inserted");
    store
        .insert(NOW, "other", "1", &owned_by("alice", 60))
        .await
        .expect("inserted");
    let third = Placement {
        guard: Some(3),
        ..owned_by("alice", 60)
    };
    store.insert(NOW, "third", "1", &third).await.expect("inserted");
    store.touch(NOW, "key", None, seconds(61)).await.expect("touched");
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1000"]).expect("set");

    let inserted = store.insert(NOW, "new", "1", &owned_by("alice", 60)).await;
    assert!(matches!(inserted, Err(StoreError::Full)), "{inserted:?}");
    let at = Placement {
        previous_owner: Some("alice".to_owned()),
        ..owned_by("alice", 60)
    };
    let replaced = store
        .replace(NOW, "key", "2", Expected::Version(version), &at)
        .await;
    assert!(matches!(replaced, Err(StoreError::Full)), "{replaced:?}");
    assert_eq!(&*store.get(NOW, "key", true).await.expect("read").value, "1");
    assert!(matches!(
        store.get(NOW, "new", true).await,
        Err(StoreError::Missing)
    ));
    assert_eq!(
        store
            .list_owned(NOW, "alice", "", 10)
            .await
            .expect("listed")
            .rows
            .len(),
        3
    );
    // A logout needs no room, whatever it depends on and although the server has not seen the script.
    let () = server.ask(&["SCRIPT", "FLUSH"]).expect("flushed");
    let logout = async |key, condition| store.delete(NOW, key, &condition).await.expect("a logout");
    assert!(logout("other", Condition::Owner("alice".to_owned())).await);
    assert!(logout("third", Condition::Guard(3)).await);
    let stale = store.delete(NOW, "key", &Condition::Guard(3)).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
    let entries: i64 = server.ask(&["ZCARD", "tessera:owner:alice"]).expect("a number");
    assert_eq!(entries, 1, "the entries leave the index as well");

    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).expect("set");
    store
        .replace(NOW, "key", "2", Expected::Version(version), &at)
        .await
        .expect("room again");
    assert_eq!(
        store
            .list_owned(NOW, "alice", "", 10)
            .await
            .expect("listed")
            .rows
            .len(),
        1
    );
}

#[tokio::test]
async fn redis_needs_no_more_commands_than_its_documentation_names() {
    let server = RedisServer::start(&[]);
    let layout = include_str!("../../../docs/layout.md");
    let (_, rules) = layout
        .split_once("ACL SETUSER app on >PASSWORD ~tessera:* ")
        .expect("the rules");
    let rules = rules.lines().next().expect("a line").split(' ');
    let user = ["ACL", "SETUSER", "app", "on", ">secret", "~tessera:*"];
    let user: Vec<&str> = user.into_iter().chain(rules).collect();
    let () = server.ask(&user).expect("a user");
    let store = open(&format!("redis://app:secret@127.0.0.1:{}", server.port)).await;
    let version = store
        .insert(NOW, "key", "1", &owned_by("alice", 60))
        .await
        .expect("inserted");
    let expected = Expected::Version(version);
    store
        .replace(NOW, "key", "2", expected, &owned_by("bob", 90))
        .await
        .expect("replaced");
    store
        .touch(NOW, "key", None, seconds(100))
        .await
        .expect("touched");
    store.get(NOW, "key", true).await.expect("there");
    let mut cursor = String::new();
    for owner in ["alice", "bob"] {
        store
            .insert(NOW, owner, "1", &owned_by("bob", 60))
            .await
            .expect("inserted");
    }
    for _ in 0..3 {
        let page = store.list_owned(NOW, "bob", &cursor, 1).await.expect("listed");
        assert_eq!(page.rows.len(), 1);
        cursor = page.next.unwrap_or_default();
    }
    let listing = store.list_all(NOW, "", 100).await.expect("listed");
    let row = listing.rows.iter().find(|row| row.key == "key").expect("a row");
    let value = row.value.clone().expect("a text");
    let imported = Listed {
        key: "copy".into(),
        ..row.clone()
    };
    store
        .import(NOW, &imported, &value, None)
        .await
        .expect("imported");
    assert!(
        store
            .delete(NOW, "key", &Condition::Owner("bob".into()))
            .await
            .expect("deleted")
    );
}

#[tokio::test]
async fn redis_lists_bring_along_values_of_16_kib_and_leave_out_longer_ones() {
    let server = RedisServer::start(&[]);
    let store = open(&server.url()).await;
    let longest_owner = "o".repeat(512);
    for owner in ["", "alice", &longest_owner] {
        for (length, is_there) in [
            (0, true),
            (16 * 1024, true),
            (16 * 1024 + 1, false),
            (100_000, false),
        ] {
            // The last character would be cut in two.
            let value = format!("{}{}", "x".repeat(length & 1), "é".repeat(length / 2));
            let key = format!("{length}");
            let at = owned_by(owner, 60);
            store.insert(NOW, &key, &value, &at).await.expect("inserted");
            let page = store.list_owned(NOW, owner, "", 10).await.expect("listed");
            let row = page.rows.iter().find(|row| row.key == key).expect("a row");
            let found = row.value.as_deref();
            assert_eq!(
                found,
                is_there.then_some(value.as_str()),
                "{} {length}",
                owner.len()
            );
            let condition = Condition::Owner(owner.to_owned());
            assert!(store.delete(NOW, &key, &condition).await.expect("deleted"));
        }
    }
}
