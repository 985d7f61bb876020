//! The mailboxes of each store pass the suite.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tessera::connections::MemoryMailbox;
use tessera::store::{RedisMailbox, RedisStore, SqliteMailbox};
use tessera_tests::mailbox_suite::check;
use tessera_tests::servers::{RedisCluster, RedisSentinels, RedisServer};

#[path = "mailboxes/in_sql.rs"]
mod in_sql;
#[path = "mailboxes/redis_cut.rs"]
mod redis_cut;
#[path = "mailboxes/redis_records.rs"]
mod redis_records;
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
