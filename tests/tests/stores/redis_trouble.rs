//! What becomes of acknowledged writes, and how the store finds its way back, when Redis is killed or cut off.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tessera::store::RedisStore;
use tessera_tests::servers::{Proxy, RedisCluster, RedisSentinels, RedisServer, Weather};

use super::in_redis::{open, owned_by};
use super::*;

/// How long a call may take under the default time-out of 2 seconds, on a machine that is busy with other tests.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// How long it may take until all goes well again. The servers are replaced after a second of silence.
const RECOVERY: Duration = Duration::from_secs(40);

/// What many clients were told while something happened to the servers.
#[derive(Default)]
struct Load {
    /// Key and value, for each write that was acknowledged.
    acknowledged: Mutex<BTreeMap<String, String>>,
    inserts: AtomicU64,
    saves: AtomicU64,
    failed: AtomicU64,
    slowest_millis: AtomicU64,
    other_errors: Mutex<Vec<String>>,
    has_ended: AtomicBool,
}

impl Load {
    /// Inserts and saves, with eight clients, until `during` has ended. Each round has keys of its own.
    async fn run(round: &'static str, store: &RedisStore, during: impl AsyncFnOnce(&Self)) -> Arc<Self> {
        let load = Arc::new(Self::default());
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let (load, store) = (Arc::clone(&load), store.clone());
                tokio::spawn(async move { load.client(&store, round, client).await })
            })
            .collect();
        during(&load).await;
        load.has_ended.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("no panic");
        }
        let errors = load.other_errors.lock().expect("no panic");
        assert!(errors.is_empty(), "{errors:?}");
        drop(errors);
        let slowest = Duration::from_millis(load.slowest_millis.load(Ordering::Relaxed));
        assert!(slowest < LONGEST_CALL, "a call took {slowest:?}");
        load
    }

    async fn client(&self, store: &RedisStore, round: &str, client: usize) {
        for n in 0_u64.. {
            if self.has_ended.load(Ordering::Relaxed) {
                return;
            }
            let (key, at) = (
                format!("{round} {client} {n}"),
                owned_by(&format!("owner {client}"), 60),
            );
            let inserted = self
                .told(&key, "first", store.insert(NOW, &key, "first", &at))
                .await;
            if let Some(version) = inserted {
                self.inserts.fetch_add(1, Ordering::Relaxed);
                let at = Placement {
                    previous_owner: at.owner.clone(),
                    ..at
                };
                // Until it is known how it ended, the value is either.
                self.acknowledged.lock().expect("no panic").remove(&key);
                let saved = store.replace(NOW, &key, "second", Expected::Version(version), &at);
                if self.told(&key, "second", saved).await.is_some() {
                    self.saves.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Notes what a write answered, and pauses after a failure as a client would.
    async fn told(
        &self,
        key: &str,
        value: &str,
        write: impl Future<Output = Result<u64, StoreError>>,
    ) -> Option<u64> {
        let began = Instant::now();
        let answer = write.await;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.slowest_millis.fetch_max(took, Ordering::Relaxed);
        match answer {
            Ok(version) => {
                let mut acknowledged = self.acknowledged.lock().expect("no panic");
                acknowledged.insert(key.to_owned(), value.to_owned());
                return Some(version);
            }
            Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            // Its record was lost with the old master.
            Err(StoreError::Missing | StoreError::Stale) if value == "second" => {}
            Err(error) => self
                .other_errors
                .lock()
                .expect("no panic")
                .push(format!("{error:?}")),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        None
    }

    fn writes(&self) -> u64 {
        self.inserts.load(Ordering::Relaxed) + self.saves.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes were acknowledged.
    async fn more(&self, writes: u64) {
        let (wanted, began) = (self.writes() + writes, Instant::now());
        while self.writes() < wanted {
            assert!(began.elapsed() < RECOVERY, "no writes for {RECOVERY:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// How many of the acknowledged writes are found, and those that are not.
    async fn found(&self, store: &RedisStore) -> (usize, Vec<String>) {
        let acknowledged = self.acknowledged.lock().expect("no panic").clone();
        let (mut found, mut lost) = (0, Vec::new());
        for (key, value) in acknowledged {
            match store.get(NOW, &key, true).await {
                Ok(entry) if *entry.value == *value => found += 1,
                Ok(_) | Err(StoreError::Missing) => lost.push(key),
                Err(error) => panic!("{error}"),
            }
        }
        (found, lost)
    }

    fn tell(&self, what: &str, found: usize, lost: usize) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let _ = writeln!(
            std::io::stderr(),
            "{what}: {} inserts and {} saves acknowledged, {} calls failed, the slowest took {} ms; \
             of {} records acknowledged, {found} found, {lost} lost",
            count(&self.inserts),
            count(&self.saves),
            count(&self.failed),
            count(&self.slowest_millis),
            found + lost
        );
    }
}

/// Waits until a record can be written under every one of many keys, and answers how long that took.
async fn until_all_goes_well(store: &RedisStore, round: &str) -> Duration {
    let began = Instant::now();
    'again: loop {
        for n in 0..200 {
            assert!(began.elapsed() < RECOVERY, "not well after {RECOVERY:?}");
            let key = format!("well {round} {n}");
            match store.insert(NOW, &key, "1", &owned_by("well", 60)).await {
                Ok(_) | Err(StoreError::Stale) => {}
                Err(_) => continue 'again,
            }
        }
        return began.elapsed();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_is_killed_and_syncs_always_loses_no_acknowledged_write() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = open(&server.url()).await;
    let load = Load::run("killed", &store, async |load| {
        for _ in 0..3 {
            load.more(500).await;
            server.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.restart();
        }
        load.more(500).await;
    })
    .await;
    let (found, lost) = load.found(&store).await;
    load.tell("redis, killed three times", found, lost.len());
    assert_eq!(lost, Vec::<String>::new());
    assert!(load.failed.load(Ordering::Relaxed) > 0, "nobody noticed");
    // What an owner's list must have is what is there.
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = store
            .list_owned(NOW, "owner 0", &cursor, 100)
            .await
            .expect("listed");
        listed.extend(page.rows.into_iter().map(|row| row.key));
        let Some(next) = page.next else { break };
        cursor = next;
    }
    let acknowledged = load.acknowledged.lock().expect("no panic");
    for key in acknowledged.keys().filter(|key| key.starts_with("killed 0 ")) {
        assert!(listed.contains(key), "{key} is not listed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_behind_sentinels_recovers_from_a_killed_master_and_from_one_that_hangs() {
    let mut set = RedisSentinels::start(&[]);
    let store = open(&set.url()).await;
    let mut told = Vec::new();
    let load = Load::run("killed", &store, async |load| {
        load.more(500).await;
        let promoted = set.fail_over();
        let well = until_all_goes_well(&store, "killed").await;
        told.push(format!(
            "killed: another master after {promoted:?}, all well {well:?} later"
        ));
        load.more(500).await;
    })
    .await;
    let (found, lost) = load.found(&store).await;
    load.tell("redis, Sentinel, master killed", found, lost.len());

    // The one that is left alone comes back as a replica, and nobody writes to it.
    let (old, others) = (set.master().expect("a master"), 0..3);
    set.servers[old].process().pause();
    let began = Instant::now();
    let load = Load::run("hangs", &store, async |load| {
        let well = until_all_goes_well(&store, "hangs").await;
        told.push(format!("hangs: all well {well:?} after"));
        load.more(100).await;
        set.servers[old].process().resume();
        load.more(500).await;
    })
    .await;
    assert!(
        set.master()
            .is_some_and(|new| new != old && others.contains(&new))
    );
    let (found, lost) = load.found(&store).await;
    load.tell("redis, Sentinel, master hangs", found, lost.len());
    // All of these were acknowledged by the new master.
    assert_eq!(lost, Vec::<String>::new());
    let _ = writeln!(
        std::io::stderr(),
        "redis, Sentinel, {}; in all {:?}",
        told.join("; "),
        began.elapsed()
    );

    set.kill_sentinel(0);
    open(&set.url())
        .await
        .get(NOW, "well hangs 0", true)
        .await
        .expect("there are two more Sentinels");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_cluster_recovers_from_a_killed_master() {
    let mut cluster = RedisCluster::start(&[]);
    let store = open(&cluster.url()).await;
    let load = Load::run("killed", &store, async |load| {
        load.more(500).await;
        let promoted = cluster.fail_over(0);
        let well = until_all_goes_well(&store, "killed").await;
        let _ = writeln!(
            std::io::stderr(),
            "redis, Cluster: the replica is master after {promoted:?}, all well {well:?} later"
        );
        load.more(500).await;
    })
    .await;
    let (found, lost) = load.found(&store).await;
    load.tell("redis, Cluster, a master killed", found, lost.len());
    // Only what the dead master had acknowledged may be lost, and most of it is not.
    let dead = 0..16384 / 3;
    for key in &lost {
        let name = format!("tessera:record:{key}");
        let slot: i64 = cluster.servers[1]
            .ask(&["CLUSTER", "KEYSLOT", &name])
            .expect("a slot");
        assert!(dead.contains(&slot), "a record of another master was lost");
    }
    let again = open(&cluster.url()).await;
    again
        .get(NOW, "well killed 0", true)
        .await
        .expect("found through the other nodes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_cluster_is_followed_while_its_slots_move() {
    let cluster = RedisCluster::start(&[]);
    let store = open(&cluster.url()).await;
    let (from, to) = (&cluster.servers[0], &cluster.servers[1]);
    let slot_of = |key: &str| {
        let slot: i64 = from
            .ask(&["CLUSTER", "KEYSLOT", &format!("tessera:record:{key}")])
            .expect("a slot");
        slot.to_string()
    };
    // Some key of the first master.
    let key = (0..)
        .map(|n| n.to_string())
        .find(|key| slot_of(key).parse::<i64>().expect("a number") < 5000);
    let (key, slot) = (key.clone().expect("a key"), slot_of(&key.expect("a key")));
    let version = store.insert(NOW, &key, "1", &until(60)).await.expect("inserted");

    let ids = [from, to].map(|server| server.ask::<String>(&["CLUSTER", "MYID"]).expect("an id"));
    let () = to
        .ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]])
        .expect("importing");
    let () = from
        .ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]])
        .expect("migrating");
    store.get(NOW, &key, true).await.expect("not moved yet");
    let (port, name) = (to.port.to_string(), format!("tessera:record:{key}"));
    let () = from
        .ask(&["MIGRATE", "127.0.0.1", &port, &name, "0", "1000"])
        .expect("moved");
    // Now it is there, and only who is sent there by name is let to it.
    store.get(NOW, &key, true).await.expect("there");
    let version = store
        .replace(NOW, &key, "2", Expected::Version(version), &until(60))
        .await
        .expect("replaced there");
    for server in [to, from] {
        let () = server
            .ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]])
            .expect("settled");
    }
    store
        .replace(NOW, &key, "3", Expected::Version(version), &until(60))
        .await
        .expect("replaced after");
    assert_eq!(&*store.get(NOW, &key, true).await.expect("there").value, "3");
}

/// A store whose way to the server goes through a proxy.
async fn behind_a_proxy(server: &RedisServer) -> (Proxy, RedisStore) {
    let proxy = Proxy::to(server.port);
    let url = format!(
        "redis://127.0.0.1:{}?timeout_ms=500&connect_timeout_ms=300",
        proxy.port
    );
    let store = open(&url).await;
    (proxy, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_is_read_although_connections_are_cut_all_the_time() {
    let server = RedisServer::start(&[]);
    let (proxy, store) = behind_a_proxy(&server).await;
    store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    for _ in 0..20 {
        proxy.cut();
        store
            .get(NOW, "key", true)
            .await
            .expect("read over a new connection");
    }
    assert!(proxy.accepted() > 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_never_gets_a_write_twice_whose_answer_was_cut() {
    let server = RedisServer::start(&[]);
    let (proxy, store) = behind_a_proxy(&server).await;
    let mut version = store.insert(NOW, "key", "0", &until(60)).await.expect("inserted");
    let scripts = || {
        let info: String = server.ask(&["INFO", "commandstats"]).expect("info");
        let line = info
            .lines()
            .find(|line| line.starts_with("cmdstat_evalsha:"))
            .unwrap_or_default()
            .to_owned();
        let calls = line.split_once("calls=").and_then(|line| line.1.split_once(','));
        calls.map_or(0, |calls| calls.0.parse::<u64>().expect("a number"))
    };
    // So that the server knows the script.
    version = store
        .replace(NOW, "key", "0", Expected::Version(version), &until(60))
        .await
        .expect("replaced");
    for n in 1..=10 {
        let before = scripts();
        proxy.set(Weather::CutsAnswers);
        let value = n.to_string();
        match store
            .replace(NOW, "key", &value, Expected::Version(version), &until(60))
            .await
        {
            Err(StoreError::OutcomeUnknown(_)) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(scripts() - before, 1, "sent once");
        proxy.set(Weather::Fine);
        let entry = store.get(NOW, "key", true).await.expect("read");
        assert_eq!(&*entry.value, value.as_str(), "it was done all the same");
        version = entry.version;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_that_is_silent_or_gone_is_unavailable_in_time_and_found_again() {
    let server = RedisServer::start(&[]);
    let (proxy, store) = behind_a_proxy(&server).await;
    store
        .insert(NOW, "key", "1", &owned_by("alice", 60))
        .await
        .expect("inserted");
    for weather in [Weather::Silent, Weather::Closed] {
        proxy.set(weather);
        for _ in 0..3 {
            let began = Instant::now();
            let keys = ["key".to_owned()];
            let read = store.get(NOW, "key", true).await;
            assert!(
                matches!(read, Err(StoreError::Unavailable(_))),
                "{weather:?}: {read:?}"
            );
            let read = store.get_many(NOW, &keys).await;
            assert!(
                matches!(read, Err(StoreError::Unavailable(_))),
                "{weather:?}: {read:?}"
            );
            let listed = store.list_owned(NOW, "alice", "", 10).await;
            assert!(
                matches!(listed, Err(StoreError::Unavailable(_))),
                "{weather:?}: {listed:?}"
            );
            let written = store.insert(NOW, "other", "1", &until(60)).await;
            let is_told = matches!(
                written,
                Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))
            );
            assert!(is_told, "{weather:?}: {written:?}");
            assert!(
                began.elapsed() < LONGEST_CALL,
                "{weather:?}: {:?}",
                began.elapsed()
            );
        }
        proxy.set(Weather::Fine);
        let began = Instant::now();
        while let Err(error) = store.get(NOW, "key", true).await {
            assert!(began.elapsed() < RECOVERY, "{weather:?}: {error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    proxy.set(Weather::Slow(Duration::from_millis(50)));
    store.get(NOW, "key", true).await.expect("slow, but there");
}
