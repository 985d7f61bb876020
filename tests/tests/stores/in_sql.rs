//! What is the SQL store's alone, over a real PostgreSQL and a real MariaDB.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tessera::connections::{Bounds, Mailbox as _, Message};
use tessera::store::{
    AnyStore, Methods, NoMailbox, PlainStore, SqlCode, SqlError, SqlMailbox, SqlStore, SqlStoreBuilder,
    SqlStoreError, StoreUrl,
};
use tessera_tests::servers::{MariaDb, PASSWORD, PgBouncer, Pooling, Postgres, Proxy, Server, Shared};
use tessera_tests::whole;

use super::read_only::{
    a_role_without_a_right_is_refused_by_that_right_and_one_that_may_read_reads,
    a_store_that_is_opened_to_read_writes_nothing_whatever_its_user_may_do,
};
use super::sql_trouble::*;
use super::*;

static POSTGRES: Shared<Postgres> = Shared::new();
static MARIADB: Shared<MariaDb> = Shared::new();
static PGBOUNCER: Shared<PgBouncer> = Shared::new();
static TABLES: AtomicUsize = AtomicUsize::new(0);

/// A table that no other test uses.
pub(super) fn table() -> String {
    format!("t{}", TABLES.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn builder() -> SqlStoreBuilder {
    SqlStore::builder().sweep_interval(Duration::ZERO)
}

pub(super) async fn fresh(server: &impl Server) -> SqlStore {
    builder()
        .table(table())
        .open(&server.url())
        .await
        .expect("a store")
}

/// Runs SQL as another program would.
pub(super) enum Other {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Other {
    pub(super) async fn connect(url: &str) -> Self {
        if url.starts_with("postgres") {
            return Self::Postgres(PgConnection::connect(url).await.expect("a connection"));
        }
        Self::MariaDb(MySqlConnection::connect(url).await.expect("a connection"))
    }

    pub(super) async fn run(&mut self, sql: &str) {
        match self {
            Self::Postgres(connection) => connection.execute(AssertSqlSafe(sql)).await.map(|_| ()),
            Self::MariaDb(connection) => connection.execute(AssertSqlSafe(sql)).await.map(|_| ()),
        }
        .expect("done");
    }

    /// Runs SQL in which each takes its own words.
    pub(super) async fn run_either(&mut self, postgres: &str, mariadb: &str) {
        let sql = match self {
            Self::Postgres(_) => postgres,
            Self::MariaDb(_) => mariadb,
        };
        self.run(sql).await;
    }
}

pub(super) fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
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
    let url: StoreUrl = with(&server.url(), &format!("table={table}"))
        .parse()
        .expect("a URL");
    assert!(!format!("{url} {url:?}").contains("s3"), "{url}");
    let store = url.open().await.expect("opened");
    assert!(matches!(store, AnyStore::Plain(PlainStore::Sql(_))));
    let entry = Methods(store).get(NOW, "key", true).await.expect("there");
    assert_eq!((entry.version, &*entry.value), (version, "\u{1f980}\0"));
}

async fn the_listing_of_all_shows_live_entries_with_and_without_owner<S: Server>(server: &S) {
    let store = fresh(server).await;
    for (key, owner, life) in [("a", Some("owner"), 60), ("b", None, 60), ("c", None, 10)] {
        let at = Placement {
            owner: owner.map(str::to_owned),
            guard: Some(life),
            ..until(life)
        };
        store.insert(NOW, key, "value", &at).await.expect("inserted");
    }
    let page = store.list_all(seconds(10), "", 100).await.expect("listed");
    let seen: Vec<_> = page
        .rows
        .iter()
        .map(|row| (row.key.as_str(), row.owner.as_deref(), row.guard))
        .collect();
    assert_eq!(seen, [("a", Some("owner"), 60), ("b", None, 60)]);
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

async fn a_guard_stays_until_a_write_brings_another<S: Server>(server: &S) {
    guards::a_guard_stays_until_a_write_brings_another(&fresh(server).await).await;
}

async fn a_deletion_is_done_while_its_condition_holds<S: Server>(server: &S) {
    guards::a_deletion_is_done_while_its_condition_holds(&fresh(server).await).await;
}

async fn many_are_deleted_while_their_conditions_hold<S: Server>(server: &S) {
    guards::many_are_deleted_while_their_conditions_hold(&fresh(server).await).await;
}

/// A guard is 64 bits here, and a signed number there.
async fn a_guard_is_a_signed_number_to_other_programs<S: Server>(server: &S) {
    let table = table();
    let store = builder().table(&table).open(&server.url()).await.expect("opened");
    let at = Placement {
        guard: Some(u64::MAX),
        ..until(60)
    };
    store.insert(NOW, "key", "1", &at).await.expect("inserted");
    let mut other = Other::connect(&server.direct_url()).await;
    let sql = format!("UPDATE {table} SET guard = guard - 1 WHERE guard = -1");
    other.run(&sql).await;
    let entry = store.get(NOW, "key", true).await.expect("there");
    assert_eq!(entry.guard, u64::MAX - 1);
}

async fn tables_of_a_newer_schema_are_refused_by_name<S: Server>(server: &S) {
    let table = table();
    drop(builder().table(&table).open(&server.url()).await.expect("opened"));
    let mut other = Other::connect(&server.direct_url()).await;
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

/// A user who may do nothing yet.
pub(super) async fn fresh_user(other: &mut Other) -> String {
    let user = format!("u{}", TABLES.fetch_add(1, Ordering::Relaxed));
    other
        .run_either(
            &format!("CREATE USER {user} PASSWORD 'pw'"),
            &format!("CREATE USER {user} IDENTIFIED BY 'pw'"),
        )
        .await;
    user
}

/// The URL with that user in it.
pub(super) fn as_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (_, place) = rest.split_once('@').expect("a user");
    format!("{scheme}://{user}:pw@{place}")
}

async fn a_user_without_the_right_to_make_tables_uses_those_that_are_there<S: Server>(server: &S) {
    let table = table();
    drop(builder().table(&table).open(&server.url()).await.expect("made"));
    let mut other = Other::connect(&server.direct_url()).await;
    let user = fresh_user(&mut other).await;
    for name in [table.clone(), format!("{table}_schema")] {
        other
            .run_either(
                &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {user}"),
                &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON tessera.{name} TO {user}"),
            )
            .await;
    }
    let url = as_user(&server.url(), &user);
    let store = builder().table(&table).open(&url).await.expect("opened");
    store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    assert!(
        store
            .delete(NOW, "key", &Condition::Guard(0))
            .await
            .expect("deleted")
    );

    let error = builder().table("none_such").open(&url).await;
    let error = error.expect_err("there is no such table, and it may not be made");
    assert!(whole(&error).contains("the user may not do this"), "{error:?}");

    // The tables of the mailboxes are made by a user with the right as well.
    let error = SqlMailbox::open(&store).await.expect_err("no tables");
    assert!(NoMailbox::from(error).is_forbidden());
    let owner = builder().table(&table).open(&server.url()).await.expect("opened");
    drop(SqlMailbox::open(&owner).await.expect("made"));
    for kind in ["", "_messages", "_watches", "_schema"] {
        let name = format!("{table}_mail{kind}");
        other
            .run_either(
                &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {user}"),
                &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON tessera.{name} TO {user}"),
            )
            .await;
    }
    let mailboxes = SqlMailbox::open(&store).await.expect("opened");
    let name = "box".parse().expect("a name");
    mailboxes
        .open(NOW, &name, "{}", until(60).ends_at)
        .await
        .expect("a mailbox");
    let (message, bounds) = (Message::new(None, "x").expect("a message"), Bounds::default());
    let sent = mailboxes.append(NOW, &name, &message, None, &bounds);
    sent.await.expect("an id");
    assert_eq!(mailboxes.sweep(NOW).await.expect("a number"), 0);
}

async fn wrong_credentials_are_told_and_not_shown<S: Server>(server: &S) {
    let url = server.url().replace("s3%2F", "wrong%2F");
    let error = builder().open(&url).await.expect_err("refused");
    let text = whole(&error);
    // PgBouncer has one code for whatever is wrong.
    let words = match server.url() == server.direct_url() {
        true => "user or password are refused",
        false => "refuses user, password",
    };
    assert!(text.contains(words), "{text}");
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
    let text = whole(&error);
    assert!(text.contains("connection refused"), "{text}");
    assert!(!text.contains("cr#e") && !text.contains("cr%23e"), "{text}");

    let no_name = builder().table("a; DROP TABLE b").open(&server.url()).await;
    assert!(matches!(no_name, Err(SqlStoreError::TableName)), "{no_name:?}");
}

async fn an_ipv6_address_leads_to_the_server<S: Server>(server: &S) {
    let proxy = Proxy::over_ipv6_to(server.port());
    let url = server.url_at(proxy.port).replace("127.0.0.1", "[::1]");
    let store = builder().table(table()).open(&url).await.expect("opened");
    store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    assert_eq!(&*store.get(NOW, "key", true).await.expect("read").value, "1");
    assert!(proxy.accepted() > 0);
}

async fn a_host_that_does_not_resolve_is_told_so<S: Server>(server: &S) {
    let url = server.url().replace("127.0.0.1", "no-such-host.invalid");
    let patient = builder().acquire_timeout(Duration::from_secs(60));
    let error = patient.open(&url).await.expect_err("there is no such host");
    assert!(
        matches!(error, SqlStoreError::Connect(SqlError::HostNotFound)),
        "{error:?}"
    );
    assert!(whole(&error).contains("does not resolve"), "{error:?}");
}

/// A URL with one more option.
pub(super) fn with(url: &str, option: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{option}")
}

/// A PgBouncer that replaces its connections now and then.
pub(super) fn pgbouncer() -> PgBouncer {
    PgBouncer::before(POSTGRES.get(Postgres::start), &Pooling::default())
}

/// Each as a test over PostgreSQL, one over PostgreSQL behind PgBouncer, and one over MariaDB.
macro_rules! over_all {
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

        mod pgbouncer {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $property() {
                    super::$property(&*super::PGBOUNCER.get(super::pgbouncer)).await;
                }
            )*

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn no_acknowledged_write_is_lost_when_the_server_is_killed() {
                let postgres = std::sync::Arc::new(super::Postgres::start());
                let server = super::PgBouncer::before(postgres, &super::Pooling::default());
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

over_all! {
    keeps_the_suite,
    a_guard_stays_until_a_write_brings_another,
    a_deletion_is_done_while_its_condition_holds,
    many_are_deleted_while_their_conditions_hold,
    a_guard_is_a_signed_number_to_other_programs,
    many_open_at_once_on_an_empty_database,
    what_was_written_is_there_after_reopening,
    the_listing_of_all_shows_live_entries_with_and_without_owner,
    a_page_brings_along_values_up_to_a_size,
    tables_of_a_newer_schema_are_refused_by_name,
    a_user_without_the_right_to_make_tables_uses_those_that_are_there,
    a_role_without_a_right_is_refused_by_that_right_and_one_that_may_read_reads,
    a_store_that_is_opened_to_read_writes_nothing_whatever_its_user_may_do,
    wrong_credentials_are_told_and_not_shown,
    an_ipv6_address_leads_to_the_server,
    a_host_that_does_not_resolve_is_told_so,
    a_row_that_another_holds_is_unavailable_within_the_timeout_and_then_works,
    a_deletion_waits_for_no_other_entry_of_its_owner,
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

/// As `search_path` does, without which the table would be another one.
#[tokio::test]
async fn a_schema_that_the_url_names_holds_the_tables() {
    let server = POSTGRES.get(Postgres::start);
    let mut other = Other::connect(&server.url()).await;
    let (table, pooler) = (table(), pgbouncer());
    other.run(&format!("CREATE SCHEMA s_{table}")).await;
    let url = with(&server.url(), &format!("table={table}&schema=s_{table}"));
    let store = builder().open(&url).await.expect("opened");
    store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    other.run(&format!("SELECT value FROM s_{table}.{table}")).await;
    let elsewhere = builder().table(&table).open(&server.url()).await.expect("opened");
    assert!(matches!(
        elsewhere.get(NOW, "key", true).await,
        Err(StoreError::Missing)
    ));
    let options = format!("table={table}&options=-c%20search_path%3Ds_{table}");
    let pooled = format!("table={table}&currentSchema=s_{table}");
    for url in [with(&server.url(), &options), with(&pooler.url(), &pooled)] {
        let same = builder().open(&url).await.expect("opened");
        assert_eq!(&*same.get(NOW, "key", true).await.expect("read").value, "1");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_told_with_its_option() {
    let url = "postgres://127.0.0.1:1/none?sslmode=verify-full&sslrootcert=/no/such.pem";
    let error = builder().open(url).await.expect_err("there is no such file");
    assert!(
        matches!(
            &error,
            SqlStoreError::File {
                name: "sslrootcert",
                ..
            }
        ),
        "{error:?}"
    );
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
