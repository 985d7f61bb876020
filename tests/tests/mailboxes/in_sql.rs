//! Mailboxes in SQL databases: the suite, the sweep, and a host that is frozen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tessera::Timestamp;
use tessera::connections::{Bounds, Mailbox as _, Message};
use tessera::store::{SqlMailbox, SqlStore};
use tessera_tests::mailbox_suite::check;
use tessera_tests::servers::{MariaDb, PgBouncer, Pooling, Postgres, Server};

const POSTGRES: &str = include_str!("../../../stores/layout/sql/postgres.sql");
const MARIADB: &str = include_str!("../../../stores/layout/sql/mysql.sql");

async fn mailboxes_in_sql_keep_the_suite(server: &impl Server) {
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

/// The statements that each connection runs first, with a time of one second.
fn session(layout: &str) -> Vec<String> {
    let (_, section) = layout.split_once("-- name: session\n").expect("a section");
    let (section, _) = section.split_once("-- name:").expect("a next one");
    let lines: Vec<&str> = section.lines().filter(|line| !line.starts_with("--")).collect();
    let filled = lines
        .join("\n")
        .replace("{millis}", "1000")
        .replace("{fraction}", "1.0")
        .replace("{seconds}", "1");
    let statements = filled.split(';').map(|statement| statement.trim().to_owned());
    statements.filter(|statement| !statement.is_empty()).collect()
}

/// Locks a mailbox as a change does, and does no more.
async fn freeze<C>(connection: &mut C, layout: &str)
where
    for<'c> &'c mut C: Executor<'c>,
{
    let lock = "SELECT name FROM frozen_mail WHERE name = 'box' FOR UPDATE";
    for statement in session(layout).iter().map(String::as_str).chain(["BEGIN", lock]) {
        let done = connection.execute(AssertSqlSafe(statement.to_owned())).await;
        done.expect("a statement");
    }
}

async fn a_host_that_is_frozen_in_a_change_stops_no_mailbox(server: &impl Server, layout: &str) {
    let store = SqlStore::builder().table("frozen").open(&server.url()).await;
    let mailboxes = SqlMailbox::open(&store.expect("a store"))
        .await
        .expect("mailboxes");
    let now = Timestamp::now();
    let name = "box".parse().expect("a name");
    let until = now.saturating_add(Duration::from_secs(600));
    mailboxes.open(now, &name, "{}", until).await.expect("a mailbox");
    let url = server.url();
    let mut postgres = None;
    let mut mariadb = None;
    match url.starts_with("postgres") {
        true => {
            freeze(
                postgres.insert(PgConnection::connect(&url).await.expect("a connection")),
                layout,
            )
            .await
        }
        false => {
            freeze(
                mariadb.insert(MySqlConnection::connect(&url).await.expect("a connection")),
                layout,
            )
            .await
        }
    }
    let (message, bounds) = (Message::new(None, "x").expect("a message"), Bounds::default());
    let began = Instant::now();
    while let Err(error) = mailboxes.append(now, &name, &message, None, &bounds).await {
        assert!(began.elapsed() < Duration::from_secs(60), "{error:?}");
    }
    drop((postgres, mariadb));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_postgres_keep_the_suite() {
    let server = Postgres::start();
    mailboxes_in_sql_keep_the_suite(&server).await;
    a_sweep_removes_the_mailboxes_that_expired_a_minute_ago(&server).await;
    a_host_that_is_frozen_in_a_change_stops_no_mailbox(&server, POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_postgres_behind_a_pooler_keep_the_suite() {
    let pooler = PgBouncer::before(Arc::new(Postgres::start()), &Pooling::default());
    mailboxes_in_sql_keep_the_suite(&pooler).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailboxes_in_mariadb_keep_the_suite() {
    let server = MariaDb::start();
    mailboxes_in_sql_keep_the_suite(&server).await;
    a_sweep_removes_the_mailboxes_that_expired_a_minute_ago(&server).await;
    a_host_that_is_frozen_in_a_change_stops_no_mailbox(&server, MARIADB).await;
}
