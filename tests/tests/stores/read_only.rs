//! Stores that take no writes: refused by name when they are opened, and read by those who only read.

use std::fs;

use tessera::store::{
    Methods, PlainStore, PlainUrl, RedisStore, RedisStoreError, RedisUrl, SqlError, SqlStoreError,
    StoreUrlError,
};
use tessera_tests::servers::{MariaDb, Postgres, RedisServer, Server};

use super::in_sql::{Other, as_user, builder, fresh_user, table};
use super::*;

fn owned() -> Placement {
    Placement {
        owner: Some("owner".to_owned()),
        ..until(60)
    }
}

/// Reads what `owned` placed under `key`, in all ways, and writes nothing.
async fn reads_and_writes_nothing(store: &PlainStore) {
    let store = Methods(store.clone());
    assert_eq!(&*store.get(NOW, "key", true).await.expect("read").value, "1");
    let many = store.get_many(NOW, &["key".to_owned(), "other".to_owned()]).await;
    assert!(many.expect("read")[0].is_ok());
    let page = store.list_owned(NOW, "owner", "", 10).await.expect("listed");
    assert_eq!(page.rows.len(), 1);
    let all = store.list_all(NOW, "", 100).await.expect("listed");
    assert_eq!(all.rows.len(), 1);
    for written in [
        store.insert(NOW, "new", "1", &until(60)).await.map(|_| ()),
        store
            .replace(NOW, "key", "2", Expected::Guard(0), &until(60))
            .await
            .map(|_| ()),
        store.touch(NOW, "key", None, seconds(61)).await,
        store.delete(NOW, "key", &Condition::Guard(0)).await.map(|_| ()),
    ] {
        assert!(matches!(written, Err(StoreError::Other(_))), "{written:?}");
    }
    assert_eq!(&*store.get(NOW, "key", true).await.expect("read").value, "1");
}

pub(super) async fn a_role_without_a_right_is_refused_by_that_right_and_one_that_may_read_reads<S: Server>(
    server: &S,
) {
    let table = table();
    let store = builder().table(&table).open(&server.url()).await.expect("made");
    store.insert(NOW, "key", "1", &owned()).await.expect("inserted");
    let mut other = Other::connect(&server.direct_url()).await;
    let user = fresh_user(&mut other).await;
    let url = as_user(&server.url(), &user);
    for (granted, lacking) in [("SELECT", "INSERT"), ("INSERT", "UPDATE"), ("UPDATE", "DELETE")] {
        for name in [table.clone(), format!("{table}_schema")] {
            other
                .run_either(
                    &format!("GRANT {granted} ON {name} TO {user}"),
                    &format!("GRANT {granted} ON tessera.{name} TO {user}"),
                )
                .await;
        }
        let opened = builder().table(&table).open(&url).await;
        match opened.expect_err("a right is lacking") {
            SqlStoreError::Forbidden { right, .. } => assert_eq!(right, lacking),
            error => panic!("{error:?}"),
        }
        if granted == "SELECT" {
            let store = builder().table(&table).read_only(true).open(&url).await;
            reads_and_writes_nothing(&store.expect("opened to read").into()).await;
        }
    }
    let none = builder()
        .table("none_such")
        .read_only(true)
        .open(&server.url())
        .await;
    assert!(matches!(none, Err(SqlStoreError::NoTables { .. })), "{none:?}");
}

/// What a user who may do everything reads cannot be written by mistake.
pub(super) async fn a_store_that_is_opened_to_read_writes_nothing_whatever_its_user_may_do<S: Server>(
    server: &S,
) {
    let table = table();
    let store = builder().table(&table).open(&server.url()).await.expect("made");
    store.insert(NOW, "key", "1", &owned()).await.expect("inserted");
    let reading = builder().table(&table).read_only(true).open(&server.url()).await;
    let reading = reading.expect("opened");
    let swept = reading.sweep(NOW).await;
    assert!(matches!(swept, Err(StoreError::Other(_))), "{swept:?}");
    reads_and_writes_nothing(&reading.into()).await;
}

async fn is_refused_and_read(url: &str, table: &str) {
    let opened = builder().table(table).open(url).await;
    let error = opened.expect_err("it takes no writes");
    assert!(
        matches!(error, SqlStoreError::ReadOnly(SqlError::Server { .. })),
        "{error:?}"
    );
    let store = builder().table(table).read_only(true).open(url).await;
    reads_and_writes_nothing(&store.expect("opened to read").into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_postgres_that_is_a_standby_or_read_only_for_the_user_is_refused_by_name_and_read() {
    let server = Postgres::start();
    let store = builder().table("t").open(&server.url()).await.expect("made");
    store.insert(NOW, "key", "1", &owned()).await.expect("inserted");
    let mut other = Other::connect(&server.url()).await;
    let user = fresh_user(&mut other).await;
    other
        .run(&format!(
            "GRANT ALL ON t, t_schema TO {user}; ALTER ROLE {user} SET default_transaction_read_only = on"
        ))
        .await;
    is_refused_and_read(&as_user(&server.url(), &user), "t").await;
    drop((store, other));
    server.restart_as_standby();
    is_refused_and_read(&server.url(), "t").await;
    // Nor are tables made there.
    let none = builder().table("none_such").open(&server.url()).await;
    assert!(matches!(none, Err(SqlStoreError::ReadOnly(_))), "{none:?}");
}

/// Also for a user whom the server lets write all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mariadb_that_is_read_only_is_refused_by_name_and_read() {
    let server = MariaDb::start();
    let store = builder().table("t").open(&server.url()).await.expect("made");
    store.insert(NOW, "key", "1", &owned()).await.expect("inserted");
    let mut other = Other::connect(&server.url()).await;
    let user = fresh_user(&mut other).await;
    other.run(&format!("GRANT ALL ON tessera.* TO {user}")).await;
    other.run("SET GLOBAL read_only = 1").await;
    for url in [as_user(&server.url(), &user), server.url()] {
        is_refused_and_read(&url, "t").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_replica_is_refused_by_name_and_read() {
    let master = RedisServer::start(&[]);
    let url: RedisUrl = master.url().parse().expect("a URL");
    let store = RedisStore::open(&url).await.expect("opened");
    store.insert(NOW, "key", "1", &owned()).await.expect("inserted");
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    eventually("the replica follows", || {
        replica.ask::<u64>(&["DBSIZE"]).is_ok_and(|keys| keys == 2)
    });
    let url: RedisUrl = replica.url().parse().expect("a URL");
    let error = RedisStore::open(&url).await.expect_err("a replica");
    assert!(matches!(error, RedisStoreError::ReadOnly(_)), "{error:?}");
    // The store refuses the writes, also where the server would accept them.
    for server in [&replica, &master] {
        let url: PlainUrl = server.url().parse().expect("a URL");
        let store = url.open_to_read().await.expect("opened to read");
        reads_and_writes_nothing(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_database_that_is_not_there_is_refused_by_name() {
    let server = RedisServer::start(&["--databases", "4"]);
    let url = |number: u32| -> PlainUrl { format!("{}/{number}", server.url()).parse().expect("a URL") };
    url(3).open().await.expect("the last one");
    for opened in [url(4).open().await, url(4).open_to_read().await] {
        assert!(
            matches!(opened, Err(StoreUrlError::Redis(RedisStoreError::NoDatabase(_)))),
            "{opened:?}"
        );
    }
}

#[tokio::test]
async fn a_sqlite_file_is_read_beside_its_service_and_not_written() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("sessions.db");
    let url: PlainUrl = format!("sqlite:{}", path.display()).parse().expect("a URL");
    let none = url.open_to_read().await;
    assert!(
        matches!(none, Err(StoreUrlError::Sqlite(SqliteStoreError::NoFile { .. }))),
        "{none:?}"
    );
    assert!(!path.exists());

    fs::write(&path, "").expect("written");
    let empty = url.open_to_read().await;
    assert!(
        matches!(
            empty,
            Err(StoreUrlError::Sqlite(SqliteStoreError::Older { found: 0, .. }))
        ),
        "{empty:?}"
    );
    assert_eq!(fs::read(&path).expect("read"), b"");

    let service = sqlite().open(&path).expect("opened");
    let reading = url.open_to_read().await.expect("opened to read");
    service.insert(NOW, "key", "1", &owned()).await.expect("inserted");
    reads_and_writes_nothing(&reading).await;
    let version = service.get(NOW, "key", true).await.expect("read").version;
    service
        .replace(NOW, "key", "2", Expected::Version(version), &owned())
        .await
        .expect("replaced");
    let reading = Methods(reading);
    assert_eq!(&*reading.get(NOW, "key", true).await.expect("read").value, "2");
}
