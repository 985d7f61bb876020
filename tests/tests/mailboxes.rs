//! The mailboxes of each store pass the suite.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tessera::Timestamp;
use tessera::connections::{Bounds, Mailbox as _, MemoryMailbox, Message};
use tessera::store::{RedisMailbox, RedisStore, SqlMailbox, SqlStore, SqliteMailbox};
use tessera_tests::mailbox_suite::check;
use tessera_tests::servers::{
    MariaDb, PgBouncer, Pooling, Postgres, RedisCluster, RedisSentinels, RedisServer, Server,
};

#[path = "mailboxes/redis_trouble.rs"]
mod redis_trouble;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_memory_keep_the_suite() {
    check(async || {
        let one = MemoryMailbox::new();
        (one.clone(), one)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_sqlite_keep_the_suite() {
    let directory = TempDir::new().expect("a directory");
    let files = AtomicUsize::new(0);
    check(async || {
        let file = files.fetch_add(1, Ordering::Relaxed);
        let one = SqliteMailbox::open(directory.path().join(format!("{file}.db"))).expect("a file");
        (one.clone(), one)
    })
    .await;
}

async fn mailboxes_at_redis_keep_the_suite(url: &str) {
    let prefixes = AtomicUsize::new(0);
    check(async || {
        let prefix = prefixes.fetch_add(1, Ordering::Relaxed);
        let url = url.parse().expect("a URL");
        let store = async || {
            let builder = RedisStore::builder().prefix(format!("{prefix}*:"));
            builder.open(&url).await.expect("a store")
        };
        // Two processes have two stores.
        (
            RedisMailbox::new(&store().await),
            RedisMailbox::new(&store().await),
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_redis_keep_the_suite() {
    mailboxes_at_redis_keep_the_suite(&RedisServer::start(&[]).url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_a_redis_cluster_keep_the_suite() {
    mailboxes_at_redis_keep_the_suite(&RedisCluster::start(&[]).url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_at_redis_sentinels_keep_the_suite() {
    mailboxes_at_redis_keep_the_suite(&RedisSentinels::start(&[]).url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_a_file_of_two_processes_keep_the_suite() {
    let directory = TempDir::new().expect("a directory");
    let files = AtomicUsize::new(0);
    check(async || {
        let file = files.fetch_add(1, Ordering::Relaxed);
        let path = directory.path().join(format!("{file}.db"));
        // Two openings have nothing in common but the file, as two processes.
        let open = || SqliteMailbox::open(&path).expect("a file");
        (open(), open())
    })
    .await;
}

async fn mailboxes_in_sql_keep_the_suite(server: &impl Server) {
    a_sweep_removes_the_mailboxes_that_expired_a_minute_ago(server).await;
    let tables = AtomicUsize::new(0);
    check(async || {
        let table = format!("t{}", tables.fetch_add(1, Ordering::Relaxed));
        let node = async || {
            let store = SqlStore::builder().table(&table).open(&server.url()).await;
            SqlMailbox::open(&store.expect("a store"))
                .await
                .expect("mailboxes")
        };
        (node().await, node().await)
    })
    .await;
}

async fn a_sweep_removes_the_mailboxes_that_expired_a_minute_ago(server: &impl Server) {
    // As long as a name may be: those of indexes and keys are longer.
    let table = "s".repeat(48);
    let store = SqlStore::builder().table(table).open(&server.url()).await;
    let mailboxes = SqlMailbox::open(&store.expect("a store"))
        .await
        .expect("mailboxes");
    let at = |second: u64| Timestamp::from_millis(second * 1000);
    let name = |number| format!("box-{number}").parse().expect("a name");
    for number in 0..130 {
        let until = at(10 + number);
        mailboxes
            .open(at(0), &name(number), "{}", until)
            .await
            .expect("a mailbox");
        let message = Message::new(None, "x").expect("a message");
        let appended = mailboxes
            .append(at(0), &name(number), &message, None, &Bounds::default())
            .await;
        appended.expect("an id");
    }
    assert_eq!(mailboxes.sweep(at(69)).await.expect("a number"), 0);
    assert_eq!(mailboxes.sweep(at(199)).await.expect("a number"), 130);
    let (left, _) = mailboxes.walk(at(0), "", 10).await.expect("a page");
    assert_eq!(left, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_postgres_keep_the_suite() {
    mailboxes_in_sql_keep_the_suite(&Postgres::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_postgres_behind_a_pooler_keep_the_suite() {
    let pooler = PgBouncer::before(Arc::new(Postgres::start()), &Pooling::default());
    mailboxes_in_sql_keep_the_suite(&pooler).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_mariadb_keep_the_suite() {
    mailboxes_in_sql_keep_the_suite(&MariaDb::start()).await;
}
