//! What is the SQL store's alone, over a real PostgreSQL and a real MariaDB.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tessera::store::{
    AnyStore, PlainStore, SqlCode, SqlError, SqlStore, SqlStoreBuilder, SqlStoreError, StoreUrl,
};
use tessera_tests::servers::{MariaDb, PASSWORD, Postgres, Proxy, Server, Shared, Weather};

use super::*;

static POSTGRES: Shared<Postgres> = Shared::new();
static MARIADB: Shared<MariaDb> = Shared::new();
static TABLES: AtomicUsize = AtomicUsize::new(0);

/// No call may take longer than its time-outs say; a machine that is busy may.
const GENEROUS: Duration = Duration::from_secs(20);

/// A table that no other test uses.
fn table() -> String {
    format!("t{}", TABLES.fetch_add(1, Ordering::Relaxed))
}

fn builder() -> SqlStoreBuilder {
    SqlStore::builder().sweep_interval(Duration::ZERO)
}

async fn fresh(server: &impl Server) -> SqlStore {
    builder()
        .table(table())
        .open(&server.url())
        .await
        .expect("a store")
}

/// Runs SQL as another program would.
enum Other {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Other {
    async fn connect(url: &str) -> Self {
        if url.starts_with("postgres") {
            return Self::Postgres(PgConnection::connect(url).await.expect("a connection"));
        }
        Self::MariaDb(MySqlConnection::connect(url).await.expect("a connection"))
    }

    async fn run(&mut self, sql: &str) {
        match self {
            Self::Postgres(connection) => connection.execute(AssertSqlSafe(sql)).await.map(|_| ()),
            Self::MariaDb(connection) => connection.execute(AssertSqlSafe(sql)).await.map(|_| ()),
        }
        .expect("done");
    }

    /// Runs SQL in which each takes its own words.
    async fn run_either(&mut self, postgres: &str, mariadb: &str) {
        let sql = match self {
            Self::Postgres(_) => postgres,
            Self::MariaDb(_) => mariadb,
        };
        self.run(sql).await;
    }
}

/// Everything that an error says, in all its sources.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

/// Unavailable, or for a write whose answer was lost: nobody knows.
fn is_outage(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))
}

async fn keeps_the_suite<S: Server>(server: &S) {
    let suite = Suite::new(async || fresh(server).await).with_sweep(|store: &SqlStore, now| {
        Box::pin(async move {
            let swept = store.sweep(now).await.map_err(|error| error.to_string())?;
            Ok(usize::try_from(swept).expect("few"))
        })
    });
    nothing_skipped_and_all_hold(
        server.url().split(':').next().unwrap_or_default(),
        &suite.run().await,
    );
}

async fn many_open_at_once_on_an_empty_database<S: Server>(server: &S) {
    let (table, url) = (table(), server.url());
    let mut opening = tokio::task::JoinSet::new();
    for n in 0..24 {
        let (table, url) = (table.clone(), url.clone());
        opening.spawn(async move {
            let store = builder().table(table).max_connections(1).open(&url).await?;
            let version = store.insert(NOW, &format!("key {n}"), "1", &until(60)).await;
            Ok::<_, SqlStoreError>((store, version))
        });
    }
    let opened = opening.join_all().await;
    for opened in &opened {
        let (_, version) = opened.as_ref().expect("opened");
        assert!(version.is_ok(), "{version:?}");
    }
    let (store, _) = opened[0].as_ref().expect("opened");
    assert_eq!(store.count().await.expect("counted"), 24);
}

async fn what_was_written_is_there_after_reopening<S: Server>(server: &S) {
    let table = table();
    let store = builder().table(&table).open(&server.url()).await.expect("opened");
    let version = store
        .insert(NOW, "key", "\u{1f980}\0", &until(60))
        .await
        .expect("inserted");
    store.close();
    store.close();
    let closed = store.get(NOW, "key", true).await;
    assert!(is_unavailable(&closed), "{closed:?}");
    let url: StoreUrl = format!("{}?table={table}", server.url()).parse().expect("a URL");
    assert!(!format!("{url} {url:?}").contains("s3"), "{url}");
    let store = url.open().await.expect("opened");
    assert!(matches!(store, AnyStore::Plain(PlainStore::Sql(_))));
    let entry = store.get(NOW, "key", true).await.expect("there");
    assert_eq!((entry.version, &*entry.value), (version, "\u{1f980}\0"));
}

async fn the_listing_of_all_shows_live_entries_with_and_without_owner<S: Server>(server: &S) {
    let store = fresh(server).await;
    for (key, owner, life) in [("a", Some("owner"), 60), ("b", None, 60), ("c", None, 10)] {
        let at = Placement {
            owner: owner.map(str::to_owned),
            ..until(life)
        };
        store.insert(NOW, key, "value", &at).await.expect("inserted");
    }
    let page = store.list_all(seconds(10), "", 100).await.expect("listed");
    let seen: Vec<_> = page
        .rows
        .iter()
        .map(|row| (row.key.as_str(), row.owner.as_deref()))
        .collect();
    assert_eq!(seen, [("a", Some("owner")), ("b", None)]);
    assert_eq!(page.rows[0].value.as_deref(), Some("value"));
    assert_eq!(page.rows[0].ends_at, until(60).ends_at);
    let first = store.list_all(NOW, "", 1).await.expect("listed");
    let next = first.next.expect("a cursor");
    assert_eq!(
        store.list_all(NOW, &next, 1).await.expect("listed").rows[0].key,
        "b"
    );
    assert_eq!(store.count().await.expect("counted"), 3);
    assert_eq!(store.count_live(seconds(10)).await.expect("counted"), 2);
    let made_up = store.list_all(NOW, "no cursor", 1).await;
    assert!(matches!(made_up, Err(StoreError::MalformedCursor)));
    assert!(matches!(
        store.list_all(NOW, "", 0).await,
        Err(StoreError::Other(_))
    ));
}

async fn a_page_brings_along_values_up_to_a_size<S: Server>(server: &S) {
    let store = fresh(server).await;
    let at = Placement {
        owner: Some("owner".to_owned()),
        ..until(60)
    };
    for (key, bytes) in [("a", 16 * 1024), ("b", 16 * 1024 + 1)] {
        let value = "x".repeat(bytes);
        store.insert(NOW, key, &value, &at).await.expect("inserted");
    }
    let page = store.list_owned(NOW, "owner", "", 100).await.expect("listed");
    let with_value: Vec<_> = page.rows.iter().map(|row| row.value.is_some()).collect();
    assert_eq!(with_value, [true, false]);
}

async fn tables_of_a_newer_schema_are_refused_by_name<S: Server>(server: &S) {
    let table = table();
    drop(builder().table(&table).open(&server.url()).await.expect("opened"));
    let mut other = Other::connect(&server.url()).await;
    other
        .run(&format!("UPDATE {table}_schema SET version = 99"))
        .await;
    let error = builder().table(&table).open(&server.url()).await;
    let error = error.expect_err("refused");
    assert!(
        matches!(&error, SqlStoreError::Newer { table: named, found: 99, supported: 1 } if *named == table),
        "{error:?}"
    );
}

async fn a_user_without_the_right_to_make_tables_uses_those_that_are_there<S: Server>(server: &S) {
    let (table, user) = (table(), format!("u{}", TABLES.fetch_add(1, Ordering::Relaxed)));
    drop(builder().table(&table).open(&server.url()).await.expect("made"));
    let mut other = Other::connect(&server.url()).await;
    other
        .run_either(
            &format!("CREATE USER {user} PASSWORD 'pw'"),
            &format!("CREATE USER {user} IDENTIFIED BY 'pw'"),
        )
        .await;
    for name in [table.clone(), format!("{table}_schema")] {
        other
            .run_either(
                &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {user}"),
                &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON tessera.{name} TO {user}"),
            )
            .await;
    }
    let url = server.url();
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (_, place) = rest.split_once('@').expect("a user");
    let url = format!("{scheme}://{user}:pw@{place}");
    let store = builder().table(&table).open(&url).await.expect("opened");
    store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    assert!(store.delete(NOW, "key", None).await.expect("deleted"));

    let error = builder().table("none_such").open(&url).await;
    let error = error.expect_err("there is no such table, and it may not be made");
    assert!(told(&error).contains("the user may not do this"), "{error:?}");
}

async fn wrong_credentials_are_told_and_not_shown<S: Server>(server: &S) {
    let url = server.url().replace("s3%2F", "wrong%2F");
    let error = builder().open(&url).await.expect_err("refused");
    let text = told(&error);
    assert!(text.contains("user or password are refused"), "{text}");
    assert!(matches!(
        error,
        SqlStoreError::Connect(SqlError::Server {
            code: SqlCode::State(_) | SqlCode::Number(_)
        })
    ));
    for secret in ["wrong", PASSWORD, "cr#e", "cr%23e", "127.0.0.1"] {
        assert!(!text.contains(secret), "{text}");
    }

    let elsewhere = server.url_at(1);
    let error = builder().open(&elsewhere).await.expect_err("nobody is there");
    let text = told(&error);
    assert!(text.contains("connection refused"), "{text}");
    assert!(!text.contains("cr#e") && !text.contains("cr%23e"), "{text}");

    let no_name = builder().table("a; DROP TABLE b").open(&server.url()).await;
    assert!(matches!(no_name, Err(SqlStoreError::TableName)), "{no_name:?}");
}

async fn a_row_that_another_holds_is_unavailable_within_the_timeout_and_then_works<S: Server>(server: &S) {
    let table = table();
    let store = builder()
        .table(&table)
        .statement_timeout(Duration::from_secs(1))
        .open(&server.url())
        .await
        .expect("opened");
    let version = store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    store
        .insert(NOW, "free", "1", &until(60))
        .await
        .expect("inserted");
    let mut other = Other::connect(&server.url()).await;
    other.run("BEGIN").await;
    other
        .run_either(
            &format!("UPDATE {table} SET touched_at = 0 WHERE session_key = 'key'::bytea"),
            &format!("UPDATE {table} SET touched_at = 0 WHERE session_key = 'key'"),
        )
        .await;
    let began = Instant::now();
    let replaced = store.replace(NOW, "key", "2", version, &until(60)).await;
    // The server says that it gave up: nothing was done, for certain.
    assert!(is_unavailable(&replaced), "{replaced:?}");
    let deleted = store.delete(NOW, "key", None).await;
    assert!(is_unavailable(&deleted), "{deleted:?}");
    assert!(began.elapsed() < GENEROUS);
    // Readers wait for nobody, nor do writers of other rows.
    assert_eq!(store.get(NOW, "key", true).await.expect("read").version, version);
    store.delete(NOW, "free", None).await.expect("deleted");
    other.run("ROLLBACK").await;
    store
        .replace(NOW, "key", "2", version, &until(60))
        .await
        .expect("replaced");
}

/// Another holds `b` and wants `a`; the store holds `a` and wants `b`. One of them has to give way, and it is the store.
async fn a_deadlock_is_tried_again<S: Server>(server: &S) {
    let table = table();
    let store = builder().table(&table).open(&server.url()).await.expect("opened");
    let at = Placement {
        owner: Some("owner".to_owned()),
        ..until(60)
    };
    for key in ["a", "b"] {
        store.insert(NOW, key, "1", &at).await.expect("inserted");
    }
    // Who has written much is not chosen to give way.
    for n in 0..50 {
        store
            .insert(NOW, &format!("x{n}"), "1", &at)
            .await
            .expect("inserted");
    }
    let mut other = Other::connect(&server.url()).await;
    let touch = format!("UPDATE {table} SET touched_at = touched_at + 1 WHERE session_key");
    other.run("BEGIN").await;
    for n in 0..50 {
        let (postgres, mariadb) = (format!("{touch} = 'x{n}'::bytea"), format!("{touch} = 'x{n}'"));
        other.run_either(&postgres, &mariadb).await;
    }
    other
        .run_either(&format!("{touch} = 'b'::bytea"), &format!("{touch} = 'b'"))
        .await;
    let deleting = tokio::spawn(async move {
        let keys = ["a".to_owned(), "b".to_owned()];
        store.delete_many(NOW, &keys, "owner").await
    });
    // Until it waits.
    tokio::time::sleep(Duration::from_millis(500)).await;
    other
        .run_either(&format!("{touch} = 'a'::bytea"), &format!("{touch} = 'a'"))
        .await;
    other.run("COMMIT").await;
    let deleted = deleting.await.expect("no panic");
    assert_eq!(deleted.expect("deleted"), 2);
}

async fn parallel_inserts_and_deletes_of_the_same_keys_all_get_their_answer<S: Server>(server: &S) {
    let store = fresh(server).await;
    let keys: Vec<String> = (0..40).map(|n| format!("key {n}")).collect();
    let at = Placement {
        owner: Some("owner".to_owned()),
        ..until(60)
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let (store, mut keys, at) = (store.clone(), keys.clone(), at.clone());
        writers.spawn(async move {
            if writer % 2 == 0 {
                keys.reverse();
            }
            for _ in 0..20 {
                for key in &keys[..10] {
                    match store.insert(NOW, key, "1", &at).await {
                        Ok(_) | Err(StoreError::Stale) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
                store.delete_many(NOW, &keys, "owner").await.expect("deleted");
            }
        });
    }
    writers.join_all().await;
    assert_eq!(store.count().await.expect("counted"), 0);
}

async fn a_cut_connection_costs_a_question_nothing_and_a_write_its_answer<S: Server>(server: &S) {
    let proxy = Proxy::to(server.port());
    let table = table();
    let store = builder()
        .table(&table)
        .open(&server.url_at(proxy.port))
        .await
        .expect("opened");
    let direct = builder().table(&table).open(&server.url()).await.expect("opened");
    let version = store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    for _ in 0..3 {
        proxy.cut();
        assert_eq!(store.get(NOW, "key", true).await.expect("read").version, version);
    }
    // Answers are lost: what was asked may have been done, and that is what is said of it.
    let mut version = version;
    for round in 0..5 {
        proxy.set(Weather::CutsAnswers);
        let value = format!("round {round}");
        let began = Instant::now();
        let answer = store.replace(NOW, "key", &value, version, &until(60)).await;
        assert!(began.elapsed() < GENEROUS);
        let error = answer.expect_err("the answer was lost");
        assert!(is_outage(&error), "{error:?}");
        proxy.set(Weather::Fine);
        let entry = direct.get(NOW, "key", true).await.expect("read");
        if matches!(error, StoreError::Unavailable(_)) {
            assert_eq!(entry.version, version, "said not to be done, and done");
        }
        version = entry.version;
        assert_eq!(store.get(NOW, "key", true).await.expect("read"), entry);
    }
}

async fn a_server_that_says_nothing_is_an_outage_within_the_timeout<S: Server>(server: &S) {
    let proxy = Proxy::to(server.port());
    let store = builder()
        .table(table())
        .acquire_timeout(Duration::from_millis(500))
        .statement_timeout(Duration::from_millis(500))
        .max_connections(4)
        .open(&server.url_at(proxy.port))
        .await
        .expect("opened");
    let version = store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    proxy.set(Weather::Silent);
    for _ in 0..3 {
        let began = Instant::now();
        let read = store.get(NOW, "key", true).await;
        assert!(is_unavailable(&read), "{read:?}");
        let written = store.replace(NOW, "key", "2", !version, &until(60)).await;
        assert!(is_outage(&written.expect_err("nothing is answered")));
        assert!(began.elapsed() < GENEROUS);
    }
    proxy.set(Weather::Fine);
    proxy.cut();
    // Within a few tries, as connections that were left waiting are given up.
    let began = Instant::now();
    while store.get(NOW, "key", true).await.is_err() {
        assert!(began.elapsed() < GENEROUS, "it does not recover");
    }
    store
        .replace(NOW, "key", "2", version, &until(60))
        .await
        .expect("replaced");
}

async fn more_callers_than_connections_all_get_their_answer<S: Server>(server: &S) {
    let store = builder()
        .table(table())
        .max_connections(2)
        .open(&server.url())
        .await
        .expect("opened");
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..200 {
        let store = store.clone();
        callers.spawn(async move { store.insert(NOW, &format!("key {n}"), "1", &until(60)).await });
    }
    for answer in callers.join_all().await {
        answer.expect("inserted");
    }
}

async fn a_caller_who_goes_away_in_the_middle_spoils_no_connection<S: Server>(server: &S) {
    let store = builder()
        .table(table())
        .max_connections(2)
        .open(&server.url())
        .await
        .expect("opened");
    for n in 0..10 {
        let key = format!("key {n}");
        store.insert(NOW, &key, &key, &until(60)).await.expect("inserted");
    }
    for round in 0..200_u64 {
        let key = format!("key {}", round % 10);
        let patience = Duration::from_micros(round * 7 % 600);
        // Whoever comes next on this connection is not to be given the answer of the one before.
        let _ = tokio::time::timeout(patience, store.get(NOW, &key, true)).await;
        let other = format!("key {}", (round + 1) % 10);
        assert_eq!(*store.get(NOW, &other, true).await.expect("read").value, *other);
    }
}

async fn the_sweeper_removes_what_expired_long_ago_and_nothing_else<S: Server>(server: &S) {
    let table = table();
    let now = Timestamp::now();
    let ago = |hours: u64| now.saturating_sub(Duration::from_secs(3600 * hours));
    let quiet = builder().table(&table).open(&server.url()).await.expect("opened");
    let place = |expires_at: Timestamp| Placement {
        expires_at,
        ends_at: expires_at,
        ..until(0)
    };
    for n in 0..1200 {
        let key = format!("long ago {n}");
        quiet
            .insert(ago(4), &key, "1", &place(ago(2)))
            .await
            .expect("inserted");
    }
    let minute = Duration::from_secs(60);
    let within = place(ago(1).saturating_add(minute));
    quiet
        .insert(ago(4), "within the grace", "1", &within)
        .await
        .expect("inserted");
    quiet
        .insert(now, "alive", "1", &place(now.saturating_add(minute)))
        .await
        .expect("inserted");

    // While another has the lock, nobody sweeps.
    let mut other = Other::connect(&server.url()).await;
    let lock = |function: &str, after: &str| {
        let postgres = format!(
            "SELECT {function}((('x' || substr(md5('tessera sweep {table}'), 1, 16))::bit(64))::bigint)"
        );
        let function = function
            .replace("pg_advisory_lock", "GET_LOCK")
            .replace("pg_advisory_unlock", "RELEASE_LOCK");
        let mariadb = format!(
            "SELECT {function}(CONCAT('tessera ', MD5(CONCAT('sweep {table} ', DATABASE()))){after})"
        );
        (postgres, mariadb)
    };
    let (postgres, mariadb) = lock("pg_advisory_lock", ", 10");
    other.run_either(&postgres, &mariadb).await;
    let mut sweeping = Vec::new();
    for _ in 0..3 {
        let builder = SqlStore::builder()
            .table(&table)
            .sweep_interval(Duration::from_millis(50));
        sweeping.push(builder.open(&server.url()).await.expect("opened"));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(quiet.count().await.expect("counted"), 1202);

    let (postgres, mariadb) = lock("pg_advisory_unlock", "");
    other.run_either(&postgres, &mariadb).await;
    let began = Instant::now();
    while quiet.count().await.expect("counted") > 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not swept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(sweeping);
    quiet.get(now, "alive", true).await.expect("alive");
    let before = ago(1).saturating_sub(minute);
    quiet
        .get(before, "within the grace", true)
        .await
        .expect("still there");
}

/// Kills the server under load, twice, and looks for everything that it had acknowledged.
async fn no_acknowledged_write_is_lost_when_the_server_is_killed<S: Server>(server: &S) {
    let store = builder()
        .table(table())
        .open(&server.url())
        .await
        .expect("opened");
    let ends = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let (store, ends) = (store.clone(), Arc::clone(&ends));
        writers.spawn(async move {
            let (mut acknowledged, mut outages, mut slowest) = (Vec::new(), 0_u32, Duration::ZERO);
            for n in 0.. {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let key = format!("key {writer} {n}");
                let began = Instant::now();
                match store.insert(NOW, &key, &key, &until(60)).await {
                    Ok(version) => acknowledged.push((key, version)),
                    Err(error) if is_outage(&error) => outages += 1,
                    Err(error) => panic!("{error:?}"),
                }
                slowest = slowest.max(began.elapsed());
            }
            (acknowledged, outages, slowest)
        });
    }
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::block_in_place(|| server.restart());
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ends.store(true, Ordering::SeqCst);
    let (mut acknowledged, mut found, mut outages, mut slowest) = (0, 0, 0, Duration::ZERO);
    for (written, failed, slow) in writers.join_all().await {
        outages += failed;
        slowest = slowest.max(slow);
        for (key, version) in written {
            acknowledged += 1;
            let entry = store.get(NOW, &key, true).await;
            found += u32::from(entry.is_ok_and(|entry| entry.version == version && *entry.value == *key));
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "killed twice: {acknowledged} acknowledged, {found} found, {outages} outages, the slowest call {slowest:?}"
    );
    assert!(
        acknowledged > 100 && outages > 0,
        "there was no load, or no outage"
    );
    assert_eq!(found, acknowledged);
    assert!(slowest < GENEROUS);
}

/// Each as a test over PostgreSQL and one over MariaDB.
macro_rules! over_both {
    ($($property:ident,)*) => {
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $property() {
                    super::$property(&*super::POSTGRES.get(super::Postgres::start)).await;
                }
            )*

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn no_acknowledged_write_is_lost_when_the_server_is_killed() {
                let server = super::Postgres::start();
                super::no_acknowledged_write_is_lost_when_the_server_is_killed(&server).await;
            }
        }

        mod mariadb {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $property() {
                    super::$property(&*super::MARIADB.get(super::MariaDb::start)).await;
                }
            )*

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn no_acknowledged_write_is_lost_when_the_server_is_killed() {
                let server = super::MariaDb::start();
                super::no_acknowledged_write_is_lost_when_the_server_is_killed(&server).await;
            }
        }
    };
}

over_both! {
    keeps_the_suite,
    many_open_at_once_on_an_empty_database,
    what_was_written_is_there_after_reopening,
    the_listing_of_all_shows_live_entries_with_and_without_owner,
    a_page_brings_along_values_up_to_a_size,
    tables_of_a_newer_schema_are_refused_by_name,
    a_user_without_the_right_to_make_tables_uses_those_that_are_there,
    wrong_credentials_are_told_and_not_shown,
    a_row_that_another_holds_is_unavailable_within_the_timeout_and_then_works,
    a_deadlock_is_tried_again,
    parallel_inserts_and_deletes_of_the_same_keys_all_get_their_answer,
    a_cut_connection_costs_a_question_nothing_and_a_write_its_answer,
    a_server_that_says_nothing_is_an_outage_within_the_timeout,
    more_callers_than_connections_all_get_their_answer,
    a_caller_who_goes_away_in_the_middle_spoils_no_connection,
    the_sweeper_removes_what_expired_long_ago_and_nothing_else,
}

#[test]
fn a_store_is_opened_on_a_runtime_or_not_at_all() {
    let opened = wait(builder().open("postgres://127.0.0.1:1/none"));
    assert!(matches!(opened, Err(SqlStoreError::NoRuntime)), "{opened:?}");
}

#[tokio::test]
async fn what_the_url_says_of_a_failover_is_what_the_store_promises() {
    let server = POSTGRES.get(Postgres::start);
    for (parameter, survives) in [
        ("", false),
        ("&failover=lossy", false),
        ("&failover=lossless", true),
    ] {
        let url = format!("{}?table={}{parameter}", server.url(), table());
        let store = builder().open(&url).await.expect("opened");
        assert_eq!(store.describe().acknowledged_writes_survive_failover, survives);
    }
}
