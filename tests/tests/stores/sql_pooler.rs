//! PostgreSQL behind a real PgBouncer in transaction mode: what one session has prepared, another does not know, or knows as
//! something else.

use std::collections::HashMap;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tessera::store::{InvalidationSource as _, SqlError, SqlStore, SqlStoreError};
use tessera_tests::servers::{PgBouncer, Pooling, Postgres, Proxy, Server, Shared};

use super::in_sql::{builder, table};
use super::*;

static POSTGRES: Shared<Postgres> = Shared::new();

fn pooler(pooling: &Pooling) -> PgBouncer {
    PgBouncer::before(POSTGRES.get(Postgres::start), pooling)
}

/// Also where it drops what it does not know, and where there is one session, which never changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pooler_that_the_url_does_not_name_is_refused_with_the_option_that_names_it() {
    for ignored_parameters in ["", "extra_float_digits", "extra_float_digits, options"] {
        let pooler = pooler(&Pooling {
            pool_size: 1,
            server_lifetime: 3600,
            ignored_parameters,
        });
        let opened = builder().table(table()).open(&pooler.plain_url()).await;
        let error = opened.expect_err(ignored_parameters);
        assert!(
            matches!(error, SqlStoreError::Connect(SqlError::Pooler)),
            "{ignored_parameters}: {error:?}"
        );
        let source = std::error::Error::source(&error).expect("a source").to_string();
        assert!(source.contains("pooler=transaction"), "{source}");
        for option in ["?pooler=transaction", "?pgbouncer=true"] {
            let url = format!("{}{option}", pooler.plain_url());
            let store = builder().table(table()).open(&url).await.expect("opened");
            store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
        }
    }
}

/// As after a failover, or with a name that leads elsewhere: each connection is looked at, not only the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pooler_that_comes_between_while_the_store_is_open_answers_nothing() {
    let server = POSTGRES.get(Postgres::start);
    let pooler = pooler(&Pooling {
        ignored_parameters: "extra_float_digits, options",
        ..Pooling::default()
    });
    let proxy = Proxy::to(server.port());
    let store = builder()
        .table(table())
        .acquire_timeout(Duration::from_millis(500))
        .open(&server.url_at(proxy.port))
        .await
        .expect("opened");
    let version = store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    proxy.lead_to(pooler.port());
    proxy.cut();
    for _ in 0..3 {
        let read = store.get(NOW, "key", true).await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        let written = store
            .replace(NOW, "key", "2", Expected::Version(version), &until(60))
            .await;
        assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    }
    proxy.lead_to(server.port());
    assert_eq!(store.get(NOW, "key", true).await.expect("read").version, version);
}

/// Also where the URL takes the pooler for the server itself: whoever listens has to have a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pooler_that_is_named_as_the_server_itself_is_asked_nothing_by_who_listens() {
    let postgres = Arc::new(Postgres::start());
    let pooling = Pooling {
        pool_size: 2,
        server_lifetime: 3600,
        ignored_parameters: "extra_float_digits, options",
    };
    let pooler = PgBouncer::before(Arc::clone(&postgres), &pooling);
    let direct: String = pooler
        .plain_url()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let url = format!("{}&direct={direct}", pooler.url());
    let store = builder().open(&url).await.expect("opened");
    let listening = store.subscribe(Arc::default()).expect("it tries to listen");
    // Some of its beats, of which one would be the last statement of its connection.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut other = PgConnection::connect(&postgres.url())
        .await
        .expect("a connection");
    let asked = "SELECT count(*) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND (query LIKE '%pg_notify%' OR query LIKE 'LISTEN%')";
    let asked: i64 = sqlx::query_scalar(asked)
        .fetch_one(&mut other)
        .await
        .expect("counted");
    assert_eq!(asked, 0);
    drop(listening);
}

/// Several stores on tables of their own, so that the same names would stand for different statements.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_each_transaction_has_a_session_of_its_own_each_call_gets_the_answer_to_its_question() {
    for server_lifetime in [0, 1] {
        let pooler = pooler(&Pooling {
            pool_size: 3,
            server_lifetime,
            ignored_parameters: "extra_float_digits, options",
        });
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..6_u32 {
            let store = builder()
                .table(table())
                .acquire_timeout(Duration::from_secs(20))
                .open(&pooler.url())
                .await
                .expect("opened");
            clients.spawn(async move { all_answers_are_right(&store, client).await });
        }
        clients.join_all().await;
    }
}

/// Calls of every kind, in an order that differs from client to client, compared with what has to be there.
async fn all_answers_are_right(store: &SqlStore, client: u32) {
    let owner = format!("owner {client}");
    let at = Placement {
        owner: Some(owner.clone()),
        ..until(60)
    };
    let mut there: HashMap<String, (u64, String)> = HashMap::new();
    for round in 0..120_u32 {
        let key = format!("key {client} {}", (round * 7 + client) % 10);
        let value = format!("value {client} {round}");
        match ((round + client) % 6, there.get(&key).cloned()) {
            (0 | 1, None) => {
                let version = store.insert(NOW, &key, &value, &at).await.expect("inserted");
                there.insert(key, (version, value));
            }
            (0, Some((version, _))) => {
                let expected = Expected::Version(version);
                let version = store.replace(NOW, &key, &value, expected, &at).await;
                there.insert(key, (version.expect("replaced"), value));
            }
            (1, Some(_)) => store.touch(NOW, &key, None, seconds(61)).await.expect("touched"),
            (2, Some(_)) if round % 4 == 0 => {
                let removed = store.delete(NOW, &key, &Condition::Owner(owner.clone())).await;
                assert!(removed.expect("deleted"));
                there.remove(&key);
            }
            (3, _) => {
                let keys: Vec<String> = (0..12).map(|n| format!("key {client} {n}")).collect();
                for (key, found) in keys.iter().zip(store.get_many(NOW, &keys).await.expect("read")) {
                    compare(found, there.get(key));
                }
            }
            (4, _) => {
                let page = store.list_owned(NOW, &owner, "", 100).await.expect("listed");
                assert_eq!(page.rows.len(), there.len());
                for row in page.rows {
                    assert_eq!(row.version, there[&row.key].0);
                }
            }
            (5, _) => {
                let page = store.list_all(NOW, "", 100).await.expect("listed");
                assert_eq!(page.rows.len(), there.len());
                assert_eq!(store.sweep(NOW).await.expect("swept"), 0);
            }
            _ => compare(store.get(NOW, &key, true).await, there.get(&key)),
        }
    }
    assert_eq!(store.count().await.expect("counted"), there.len() as u64);
    for (key, expected) in &there {
        compare(store.get(NOW, key, true).await, Some(expected));
    }
}

fn compare(found: Result<Entry, StoreError>, expected: Option<&(u64, String)>) {
    match (found, expected) {
        (Ok(entry), Some((version, value))) => {
            assert_eq!((entry.version, &*entry.value), (*version, &**value))
        }
        (Err(StoreError::Missing), None) => {}
        (found, expected) => panic!("{found:?} in place of {expected:?}"),
    }
}
