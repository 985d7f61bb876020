//! A cache over real servers: the suite, and what it hears of writes by other processes.

use tessera::store::{CachedStore, InvalidationSource, Methods, RedisStore, RedisUrl, SqlStore};
use tessera_tests::servers::{
    PgBouncer, Pooling, Postgres, Proxy, RedisCluster, RedisSentinels, RedisServer, Server as _, Weather,
};

use super::*;

/// So long that whatever is seen was told.
const FOR_EVER: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(30);

async fn redis(url: &str) -> RedisStore {
    let url: RedisUrl = url.parse().expect("a URL");
    RedisStore::open(&url).await.expect("a store")
}

async fn postgres(url: &str, table: &str) -> SqlStore {
    let builder = SqlStore::builder().table(table).max_connections(4);
    builder.open(url).await.expect("a store")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cache_over_redis_and_one_over_postgres_keep_the_suite() {
    let (server, number) = (RedisServer::start(&[]), std::sync::atomic::AtomicUsize::new(0));
    let next = || number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let suite = Suite::new(async || {
        let store = redis(&format!("{}?prefix={}:", server.url(), next())).await;
        Methods(CachedStore::new(store, FOR_EVER).listening())
    });
    in_cache::nothing_but_the_sweep_skipped("cached, redis", &suite.run().await);
    let server = Postgres::start();
    let suite = Suite::new(async || {
        let store = postgres(&server.url(), &format!("t{}", next())).await;
        Methods(CachedStore::new(store, FOR_EVER).listening())
    });
    in_cache::nothing_but_the_sweep_skipped("cached, postgres", &suite.run().await);
}

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../host/examples/redis_with_cache.rs"]
mod example;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_example_with_a_cache_before_redis_shows_a_logout_by_another_process() {
    let server = RedisServer::start(&[]);
    let (here, there) = (
        example::sessions(&server.url()).await.expect("sessions"),
        example::sessions(&server.url()).await.expect("sessions"),
    );
    let session = there.create();
    session.set("city", &"Ulm").expect("a field");
    let token = session.save().await.expect("saved").token.expect("a token");
    let found = here.open(&token).await.expect("open");
    assert_eq!(found.get::<String>("city").expect("text").as_deref(), Some("Ulm"));
    session.destroy().await.expect("ended");
    eventually("the logout is seen", async || here.open(&token).await.is_err()).await;
}

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn reads(store: &impl Store, key: &str) -> Option<String> {
    let entry = store.get(NOW, key, false).await;
    entry.ok().map(|entry| entry.value.to_string())
}

/// Waits until a cache is told of what another process writes: it takes a moment until it listens.
async fn until_it_listens(here: &impl Store, there: &impl Store) {
    eventually("it listens", async || {
        let key = format!("listens {}", getrandom());
        let version = there.insert(NOW, &key, "1", &until(600)).await.expect("written");
        assert_eq!(reads(here, &key).await.as_deref(), Some("1"));
        let replaced = there
            .replace(NOW, &key, "2", Expected::Version(version), &until(600))
            .await;
        replaced.expect("written");
        tokio::time::sleep(Duration::from_millis(200)).await;
        reads(here, &key).await.as_deref() == Some("2")
    })
    .await;
}

fn getrandom() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

/// `here` caches for ever and reads; `there` is another process.
async fn is_told_of_every_kind_of_write<S: InvalidationSource>(here: S, there: impl Store) {
    let here = Methods(CachedStore::new(here, FOR_EVER).listening());
    until_it_listens(&here, &there).await;
    let keys = ["replaced", "deleted", "deleted with others"].map(str::to_owned);
    let at = Placement {
        owner: Some("alice".into()),
        ..until(600)
    };
    for key in &keys {
        there.insert(NOW, key, "1", &at).await.expect("written");
        assert_eq!(reads(&here, key).await.as_deref(), Some("1"));
    }
    let version = there.get(NOW, &keys[0], true).await.expect("there").version;
    there
        .replace(NOW, &keys[0], "2", Expected::Version(version), &at)
        .await
        .expect("written");
    there
        .delete(NOW, &keys[1], &Condition::Owner("alice".into()))
        .await
        .expect("deleted");
    there
        .delete_many(NOW, &whatever_guard(&keys[2..]), "alice")
        .await
        .expect("deleted");
    eventually("the replacement is told", async || {
        reads(&here, &keys[0]).await.as_deref() == Some("2")
    })
    .await;
    for key in &keys[1..] {
        eventually("the deletion is told", async || reads(&here, key).await.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_process_writes_is_told_by_one_redis_by_a_cluster_and_by_sentinels() {
    let server = RedisServer::start(&[]);
    is_told_of_every_kind_of_write(redis(&server.url()).await, redis(&server.url()).await).await;
    let cluster = RedisCluster::start(&[]);
    is_told_of_every_kind_of_write(redis(&cluster.url()).await, redis(&cluster.url()).await).await;
    let set = RedisSentinels::start(&[]);
    is_told_of_every_kind_of_write(redis(&set.url()).await, redis(&set.url()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_process_writes_is_told_by_postgres() {
    let server = Postgres::start();
    let there = format!("{}?announce=true", server.url());
    is_told_of_every_kind_of_write(postgres(&server.url(), "t").await, postgres(&there, "t").await).await;
}

/// The pooler passes on the news of who writes; a session listens, and so at the server itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_process_writes_over_a_pooler_is_told_by_the_server_behind_it() {
    let server = Arc::new(Postgres::start());
    let pooler = PgBouncer::before(Arc::clone(&server), &Pooling::default());
    let direct: String = server.url().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let here = format!("{}&direct={direct}", pooler.url());
    let there = format!("{}&announce=true", pooler.url());
    is_told_of_every_kind_of_write(postgres(&here, "t").await, postgres(&there, "t").await).await;
}

/// Behind a pooler nobody can listen, so the cache goes by its bound alone, as over MySQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cache_over_a_pooler_alone_is_told_nothing_and_keeps_its_bound() {
    let pooler = PgBouncer::before(Arc::new(Postgres::start()), &Pooling::default());
    let max_stale = Duration::from_secs(2);
    let store = postgres(&pooler.url(), "t").await;
    assert!(store.subscribe(Arc::default()).is_none());
    let here = Methods(CachedStore::new(store, max_stale).listening());
    let there = postgres(&format!("{}&announce=true", pooler.url()), "t").await;
    let version = there.insert(NOW, "key", "1", &until(600)).await.expect("written");
    assert_eq!(reads(&here, "key").await.as_deref(), Some("1"));
    let replaced = there
        .replace(NOW, "key", "2", Expected::Version(version), &until(600))
        .await;
    replaced.expect("written");
    tokio::time::sleep(max_stale).await;
    assert_eq!(reads(&here, "key").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_tells_of_what_other_programs_do_as_well() {
    let server = RedisServer::start(&[]);
    let here = Methods(CachedStore::new(redis(&server.url()).await, FOR_EVER).listening());
    let there = redis(&server.url()).await;
    until_it_listens(&here, &there).await;
    for command in [&["DEL", "tessera:record:key"][..], &["FLUSHALL"]] {
        there.insert(NOW, "key", "1", &until(600)).await.expect("written");
        assert_eq!(reads(&here, "key").await.as_deref(), Some("1"));
        let _: redis_client::Value = server.ask(command).expect("done");
        eventually("it is told", async || reads(&here, "key").await.is_none()).await;
    }
}

use redis as redis_client;

/// What is written while nothing can be told is seen once the way is whole again; until then nothing older than
/// `max_stale` is answered.
async fn what_is_missed_is_found_out<S: InvalidationSource>(proxy: &Proxy, here: S, there: impl Store) {
    let max_stale = Duration::from_secs(10);
    let here = Methods(CachedStore::new(here, max_stale).listening());
    until_it_listens(&here, &there).await;
    for weather in [Weather::Closed, Weather::Silent] {
        let key = format!("key {weather:?}");
        let version = there.insert(NOW, &key, "1", &until(600)).await.expect("written");
        // What is told comes in order: once a later write was heard of, nothing of this one is still on its way.
        until_it_listens(&here, &there).await;
        assert_eq!(reads(&here, &key).await.as_deref(), Some("1"));
        let cached_at = std::time::Instant::now();
        proxy.set(weather);
        there
            .replace(NOW, &key, "2", Expected::Version(version), &until(600))
            .await
            .expect("written");
        let is_old = async || {
            // Asked before the answer, which can take as long as a time-out.
            let age = cached_at.elapsed();
            (age, reads(&here, &key).await.as_deref() == Some("1"))
        };
        let mut seen_old = 0;
        while cached_at.elapsed() < max_stale + Duration::from_secs(1) {
            let (age, old) = is_old().await;
            assert!(!old || age < max_stale, "after {age:?}");
            seen_old += u32::from(old);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // It is the cache that answered. Who knows that the way is broken forgets at once.
        assert!(seen_old > 0 || weather == Weather::Closed, "{weather:?}");
        proxy.set(Weather::Fine);
        proxy.cut();
        eventually("it is found out", async || {
            reads(&here, &key).await.as_deref() == Some("2")
        })
        .await;
        until_it_listens(&here, &there).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_missed_while_redis_or_postgres_was_out_of_reach_is_not_kept() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::to(server.port);
    let here = redis(&format!("redis://127.0.0.1:{}", proxy.port)).await;
    what_is_missed_is_found_out(&proxy, here, redis(&server.url()).await).await;
    let server = Postgres::start();
    let proxy = Proxy::to(server.port());
    let here = postgres(&server.url_at(proxy.port), "t").await;
    let there = postgres(&format!("{}?announce=true", server.url()), "t").await;
    what_is_missed_is_found_out(&proxy, here, there).await;
}
