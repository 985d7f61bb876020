//! Records in another format than the one that is written.

use std::collections::BTreeSet;

use redis::Commands as _;
use tessera::store::{HeadFormat, RedisStore};
use tessera_tests::servers::RedisServer;

use super::in_redis::{owned_by, parse};
use super::*;

/// A store that writes a format, over the same keys as every other.
async fn writing(server: &RedisServer, format: HeadFormat) -> RedisStore {
    let store = RedisStore::builder()
        .write_format(format)
        .open(&parse(&server.url()))
        .await;
    store.expect("an open store")
}

#[tokio::test]
async fn redis_formats_are_read_and_changed_by_stores_that_write_one_or_the_other() {
    let server = RedisServer::start(&[]);
    let formats = [HeadFormat::V0, HeadFormat::V1];
    let (old, new) = (
        writing(&server, formats[0]).await,
        writing(&server, formats[1]).await,
    );
    let mut connection = super::redis_layout::connect(&server);
    let mut format = |key: &str| {
        let record: String = connection.get(format!("tessera:record:{key}")).expect("a string");
        record.chars().next().expect("a format")
    };
    let at = |guard| Placement {
        guard,
        ..owned_by("alice", 60)
    };
    for (writer, other, own, others) in [(&old, &new, '0', '1'), (&new, &old, '1', '0')] {
        let kept = if own == '1' { 7 } else { 0 };
        for key in ["replaced", "touched", "moved", "doomed", "ended", "stays"] {
            writer
                .insert(NOW, key, "1", &at(Some(7)))
                .await
                .expect("inserted");
            assert_eq!(format(key), own);
        }
        for store in [writer, other] {
            let entry = store.get(NOW, "stays", true).await.expect("there");
            assert_eq!((&*entry.value, entry.guard), ("1", kept));
            let stale = store.insert(NOW, "stays", "2", &at(None)).await;
            assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
            let page = store.list_owned(NOW, "alice", "", 10).await.expect("listed");
            let keys: BTreeSet<_> = page.rows.iter().map(|row| row.key.as_str()).collect();
            assert_eq!(keys.len(), 6, "{keys:?}");
            assert!(page.rows.iter().all(|row| row.guard == kept));
            let listing = store.list_all(NOW, "", 100).await.expect("listed");
            assert_eq!(listing.rows.len(), 6);
        }
        // A touch leaves a record in its format.
        other
            .touch(NOW, "touched", None, seconds(90))
            .await
            .expect("touched");
        assert_eq!(format("touched"), own);
        for store in [writer, other] {
            let entry = store.get(NOW, "touched", true).await.expect("there");
            assert_eq!((entry.expires_at, entry.guard), (seconds(90), kept));
        }
        // A save writes it in the format of the one that saves.
        let version = writer.get(NOW, "replaced", true).await.expect("there").version;
        let (expected, none) = (Expected::Version(version), Expected::Version(!version));
        let stale = other.replace(NOW, "replaced", "2", none, &at(None)).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        other
            .replace(NOW, "replaced", "2", expected, &at(None))
            .await
            .expect("replaced");
        assert_eq!(format("replaced"), others);
        for store in [writer, other] {
            let entry = store.get(NOW, "replaced", true).await.expect("there");
            assert_eq!(
                (&*entry.value, entry.guard),
                ("2", 0),
                "format 0 has no guard to keep"
            );
            let page = store.list_owned(NOW, "alice", "", 10).await.expect("listed");
            assert_eq!(page.rows.len(), 6, "it is still listed, once");
        }
        // To another owner, by its guard.
        let moved = Placement {
            previous_owner: Some("alice".into()),
            ..owned_by("bob", 60)
        };
        let expected = Expected::Guard(kept);
        other
            .replace(NOW, "moved", "2", expected, &moved)
            .await
            .expect("replaced");
        let page = writer.list_owned(NOW, "bob", "", 10).await.expect("listed");
        assert_eq!(page.rows.len(), 1);
        // By its guard, by its owner, and many.
        let stale = other.delete(NOW, "doomed", &Condition::Guard(8)).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        assert!(
            other
                .delete(NOW, "doomed", &Condition::Guard(kept))
                .await
                .expect("deleted")
        );
        assert!(
            other
                .delete(NOW, "ended", &Condition::Owner("alice".into()))
                .await
                .expect("deleted")
        );
        let deletions = ["replaced", "touched", "stays", "moved"].map(|key| Deletion {
            key: key.into(),
            guard: None,
        });
        assert_eq!(
            other
                .delete_many(NOW, &deletions, "alice")
                .await
                .expect("deleted"),
            3
        );
        assert!(
            writer
                .delete(NOW, "moved", &Condition::Guard(0))
                .await
                .expect("deleted")
        );
        for owner in ["alice", "bob"] {
            let left: i64 = server
                .ask(&["ZCARD", &format!("tessera:owner:{owner}")])
                .expect("a number");
            assert_eq!(left, 0, "an entry of {owner} is left");
        }
    }
}
