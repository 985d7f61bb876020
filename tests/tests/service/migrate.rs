//! `tessera migrate`, between real stores.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use tessera::Timestamp;
use tessera::store::{
    Condition, Entry, Expected, Listed, Methods, Placement, PlainStore, PlainUrl, Store as _,
};
use tessera_tests::servers::{MariaDb, Postgres, RedisCluster, RedisServer, Server as _};

use crate::place;
use crate::server::{program, run};

/// The guard of an entry that a test writes.
const GUARD: u64 = u64::MAX - 7;

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime")
}

async fn open(url: &str) -> Methods<PlainStore> {
    let url: PlainUrl = url.parse().expect("a URL");
    Methods(url.open().await.expect("a store"))
}

/// Everything live that is in a store.
async fn all(store: &Methods<PlainStore>) -> BTreeMap<String, Listed> {
    let (mut all, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = store
            .list_all(Timestamp::now(), &cursor, 100)
            .await
            .expect("a page");
        for mut row in page.rows {
            let entry = store.get(Timestamp::now(), &row.key, true).await.expect("there");
            assert_eq!(entry.guard, row.guard);
            row.value = Some(entry.value);
            all.insert(row.key.clone(), row);
        }
        match page.next {
            Some(next) => cursor = next,
            None => return all,
        }
    }
}

fn until(owner: Option<&str>, seconds: u64) -> Placement {
    Placement {
        owner: owner.map(str::to_owned),
        previous_owner: None,
        guard: Some(GUARD),
        expires_at: Timestamp::now().saturating_add(Duration::from_secs(seconds)),
        ends_at: Timestamp::now().saturating_add(Duration::from_secs(2 * seconds)),
    }
}

fn owned_by(owner: &str) -> Condition {
    Condition::Owner(owner.to_owned())
}

/// So many entries of some owners and of none; what must survive a copy is in their keys, owners and texts.
async fn fill(store: &Methods<PlainStore>, entries: usize) {
    let keys: Vec<String> = (0..entries).map(|n| format!("key {n} \u{1f980}*?[")).collect();
    for (n, key) in keys.iter().enumerate() {
        let owner = (n % 3 > 0).then(|| format!("owner {} \u{e9}", n % 7));
        // Every tenth is longer than a listing brings along.
        let value = "\u{0}\"\\ \u{1f980}".repeat(if n % 10 == 0 { 4_000 } else { n % 50 });
        let at = Placement {
            guard: Some(GUARD ^ n as u64),
            ..until(owner.as_deref(), 3_000 + n as u64)
        };
        store
            .insert(Timestamp::now(), key, &value, &at)
            .await
            .expect("written");
    }
    for key in keys.iter().step_by(5) {
        let later = Timestamp::now().saturating_add(Duration::from_secs(4_000));
        store
            .touch(Timestamp::now(), key, None, later)
            .await
            .expect("touched");
    }
}

struct Migration {
    from: String,
    to: String,
    data: String,
    _directory: tempfile::TempDir,
}

impl Migration {
    fn new(from: &str, to: &str) -> Self {
        let (directory, data) = place();
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            data: data.to_str().expect("UTF-8").to_owned(),
            _directory: directory,
        }
    }

    fn arguments(&self) -> [&str; 7] {
        [
            "migrate", "--from", &self.from, "--to", &self.to, "--data", &self.data,
        ]
    }

    /// What it prints when it succeeds.
    #[track_caller]
    fn done(&self, more: &[&str]) -> String {
        let (done, printed, said) = run(&[&self.arguments(), more].concat());
        assert!(done, "{printed}{said}");
        printed
    }
}

#[track_caller]
fn says(printed: &str, line: &str) {
    assert!(
        printed.lines().any(|other| other == line),
        "{line:?} in {printed}"
    );
}

#[test]
fn sessions_go_from_store_to_store_and_back_with_all_that_they_are() {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    let (redis, cluster) = (RedisServer::start(&[]), RedisCluster::start(&[]));
    let (directory, _) = place();
    let sqlite = |name: &str| format!("sqlite:{}/{name}.db", directory.path().display());
    let stops = [
        sqlite("first"),
        postgres.url(),
        format!("{}?prefix=a*[b]:", redis.url()),
        mariadb.url(),
        cluster.url(),
        sqlite("last"),
    ];
    let runtime = runtime();
    let first = runtime.block_on(open(&stops[0]));
    runtime.block_on(fill(&first, 501));
    let expected = runtime.block_on(all(&first));
    assert_eq!(expected.len(), 501);
    for pair in stops.windows(2) {
        let migration = Migration::new(&pair[0], &pair[1]);
        let printed = migration.done(&[]);
        says(&printed, "copied 501");
        says(&printed, "the counts agree");
        let found = runtime.block_on(async { all(&open(&pair[1]).await).await });
        assert!(found == expected, "{} to {}", pair[0], pair[1]);
        // Again: there is nothing to do.
        says(&migration.done(&[]), "copied 0");
    }
    // The owners' lists came along.
    runtime.block_on(async {
        let last = open(&stops[5]).await;
        let page = last
            .list_owned(Timestamp::now(), "owner 1 \u{e9}", "", 100)
            .await
            .expect("a page");
        let owned = |row: &&Listed| row.owner.as_deref() == Some("owner 1 \u{e9}");
        assert_eq!(page.rows.len(), expected.values().filter(owned).count());
    });
}

#[test]
fn a_migration_that_is_killed_again_and_again_goes_on_and_loses_nothing() {
    let (directory, _) = place();
    let sqlite = |name: &str| format!("sqlite:{}/{name}.db", directory.path().display());
    let redis = RedisServer::start(&[]);
    let migration = Migration::new(&sqlite("from"), &redis.url());
    let runtime = runtime();
    let from = runtime.block_on(open(&migration.from));
    runtime.block_on(fill(&from, 2_000));
    let copied = || runtime.block_on(async { all(&open(&redis.url()).await).await.len() });
    let (mut killed, mut in_the_middle) = (0, 0);
    for pause in [20, 40, 60, 80, 120, 160] {
        let mut child = Command::new(program())
            .args(migration.arguments())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().expect("killed");
        killed += u32::from(!child.wait().expect("ended").success());
        in_the_middle += u32::from((1..2_000).contains(&copied()));
    }
    assert!(
        killed > 0 && in_the_middle > 0,
        "killed {killed} times, {in_the_middle} in the middle"
    );
    says(&migration.done(&[]), "the counts agree");
    let (expected, found) =
        runtime.block_on(async { (all(&from).await, all(&open(&redis.url()).await).await) });
    println!(
        "killed {killed} times: {} of {} there",
        found.len(),
        expected.len()
    );
    assert!(found == expected);
}

#[test]
fn what_ends_or_changes_on_either_side_meanwhile_is_right_after_the_next_run() {
    let (directory, _) = place();
    let sqlite = |name: &str| format!("sqlite:{}/{name}.db", directory.path().display());
    let migration = Migration::new(&sqlite("from"), &sqlite("to"));
    let runtime = runtime();
    let (from, to) = runtime.block_on(async {
        let from = open(&migration.from).await;
        for key in [
            "stays",
            "changes",
            "ends",
            "slides",
            "changes there",
            "ends there",
            "both",
        ] {
            let at = until(Some("alice"), 600);
            from.insert(Timestamp::now(), key, "1", &at)
                .await
                .expect("written");
        }
        (from, open(&migration.to).await)
    });
    says(&migration.done(&[]), "copied 7");
    let write = async |store: &Methods<PlainStore>, key: &str, value: &str| {
        let version = store
            .get(Timestamp::now(), key, true)
            .await
            .expect("there")
            .version;
        let at = until(Some("alice"), 600);
        let expected = Expected::Version(version);
        let written = store.replace(Timestamp::now(), key, value, expected, &at).await;
        written.expect("written");
    };
    let end = async |store: &Methods<PlainStore>, key: &str| {
        let ended = store.delete(Timestamp::now(), key, &owned_by("alice")).await;
        assert!(ended.expect("ended"));
    };
    let slid = Timestamp::now().saturating_add(Duration::from_secs(900));
    runtime.block_on(async {
        write(&from, "changes", "2").await;
        write(&from, "both", "from").await;
        end(&from, "ends").await;
        from.touch(Timestamp::now(), "slides", None, slid)
            .await
            .expect("touched");
        write(&to, "changes there", "there").await;
        write(&to, "both", "to").await;
        end(&to, "ends there").await;
        let at = until(Some("bob"), 600);
        to.insert(Timestamp::now(), "new there", "new", &at)
            .await
            .expect("written");
    });
    let look = Migration::done(&migration, &["--dry-run"]);
    says(&look, "would be updated 1");
    says(&look, "would be ended as at the source 1");
    let printed = migration.done(&[]);
    says(&printed, "updated 1");
    says(&printed, "ended as at the source 1");
    says(
        &printed,
        "at the source 6; at the destination 3 unchanged, 2 changed by a service there, 1 ended there",
    );
    let found = runtime.block_on(all(&to));
    let text = |key: &str| found.get(key).and_then(|row| row.value.as_deref());
    assert_eq!(text("stays"), Some("1"));
    assert_eq!(text("changes"), Some("2"));
    assert_eq!(text("ends"), None);
    assert_eq!(found["slides"].expires_at, slid);
    assert_eq!(text("changes there"), Some("there"));
    assert_eq!(text("both"), Some("to"));
    assert_eq!(text("ends there"), None);
    assert_eq!(text("new there"), Some("new"));
}

#[test]
fn a_copy_that_has_expired_while_its_source_lived_on_is_made_again() {
    let (directory, _) = place();
    let sqlite = |name: &str| format!("sqlite:{}/{name}.db", directory.path().display());
    let migration = Migration::new(&sqlite("from"), &sqlite("to"));
    let runtime = runtime();
    runtime.block_on(async {
        let from = open(&migration.from).await;
        let mut at = until(None, 600);
        at.expires_at = Timestamp::now().saturating_add(Duration::from_secs(3));
        from.insert(Timestamp::now(), "key", "1", &at)
            .await
            .expect("written");
        says(&migration.done(&[]), "copied 1");
        let later = Timestamp::now().saturating_add(Duration::from_secs(300));
        from.touch(Timestamp::now(), "key", None, later)
            .await
            .expect("touched");
        tokio::time::sleep(Duration::from_secs(3)).await;
        says(&migration.done(&[]), "copied 1");
        let to = open(&migration.to).await;
        let entry: Entry = to.get(Timestamp::now(), "key", true).await.expect("there");
        assert_eq!(entry.expires_at, later);
    });
}

#[test]
fn a_session_that_is_used_at_the_destination_outlives_its_source() {
    let (directory, _) = place();
    let sqlite = |name: &str| format!("sqlite:{}/{name}.db", directory.path().display());
    let migration = Migration::new(&sqlite("from"), &sqlite("to"));
    let runtime = runtime();
    runtime.block_on(async {
        let (from, to) = (open(&migration.from).await, open(&migration.to).await);
        let mut at = until(None, 600);
        at.expires_at = Timestamp::now().saturating_add(Duration::from_secs(3));
        from.insert(Timestamp::now(), "key", "1", &at)
            .await
            .expect("written");
        says(&migration.done(&[]), "copied 1");
        let later = Timestamp::now().saturating_add(Duration::from_secs(300));
        to.touch(Timestamp::now(), "key", None, later)
            .await
            .expect("touched");
        tokio::time::sleep(Duration::from_secs(3)).await;
        says(&migration.done(&[]), "ended as at the source 0");
        let entry: Entry = to.get(Timestamp::now(), "key", true).await.expect("there");
        assert_eq!(entry.expires_at, later);
    });
}

#[test]
fn on_the_way_back_what_changed_and_what_ended_goes_along() {
    let (directory, _) = place();
    let sqlite = |name: &str| format!("sqlite:{}/{name}.db", directory.path().display());
    let there = Migration::new(&sqlite("a"), &sqlite("b"));
    let back = Migration {
        from: there.to.clone(),
        to: there.from.clone(),
        data: there.data.clone(),
        _directory: tempfile::tempdir().expect("a directory"),
    };
    let runtime = runtime();
    runtime.block_on(async {
        let (a, b) = (open(&there.from).await, open(&there.to).await);
        for key in ["stays", "changes", "ends"] {
            let at = until(Some("alice"), 600);
            a.insert(Timestamp::now(), key, "1", &at).await.expect("written");
        }
        says(&there.done(&[]), "copied 3");
        let version = b
            .get(Timestamp::now(), "changes", true)
            .await
            .expect("there")
            .version;
        let at = until(Some("bob"), 900);
        let expected = Expected::Version(version);
        let changed = b.replace(Timestamp::now(), "changes", "2", expected, &at).await;
        changed.expect("written");
        b.delete(Timestamp::now(), "ends", &owned_by("alice"))
            .await
            .expect("ended");
        let printed = back.done(&[]);
        says(&printed, "updated 1");
        says(&printed, "ended as at the source 1");
        assert!(all(&a).await == all(&b).await);
    });
}

#[test]
fn a_source_or_a_destination_that_is_empty_all_at_once_is_taken_for_a_mistake() {
    let (directory, _) = place();
    let redis = RedisServer::start(&[]);
    let from = format!("sqlite:{}/from.db", directory.path().display());
    let migration = Migration::new(&from, &redis.url());
    let runtime = runtime();
    runtime.block_on(async { fill(&open(&from).await, 20).await });
    says(&migration.done(&[]), "copied 20");
    let _: () = redis.ask(&["FLUSHALL"]).expect("flushed");
    let (done, printed, complaint) = run(&migration.arguments());
    assert!(
        !done && complaint.contains("the destination has none"),
        "{printed}{complaint}"
    );
    // Another prefix is another place, with a journal of its own.
    let other = Migration {
        to: format!("{}?prefix=other:", redis.url()),
        from: from.clone(),
        data: migration.data.clone(),
        _directory: tempfile::tempdir().expect("a directory"),
    };
    says(&other.done(&[]), "copied 20");
    runtime.block_on(async {
        let from = open(&from).await;
        for (key, row) in all(&from).await {
            let ended = from
                .delete(Timestamp::now(), &key, &Condition::Guard(row.guard))
                .await;
            ended.expect("ended");
        }
    });
    let (done, printed, complaint) = run(&other.arguments());
    assert!(
        !done && complaint.contains("the source has none"),
        "{printed}{complaint}"
    );
    let kept = runtime.block_on(async { all(&open(&other.to).await).await.len() });
    assert_eq!(kept, 20);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let (directory, _) = place();
    let path = directory.path().join("to.db");
    let from = format!("sqlite:{}/from.db", directory.path().display());
    let migration = Migration::new(&from, &format!("sqlite:{}", path.display()));
    let runtime = runtime();
    runtime.block_on(async { fill(&open(&from).await, 120).await });
    says(&migration.done(&["--dry-run"]), "would be copied 120");
    assert!(!path.exists());
    let made = std::fs::read_dir(&migration.data).map_or(0, Iterator::count);
    assert_eq!(made, 0, "no journal");
}

#[test]
fn what_cannot_be_copied_is_said_and_passwords_are_not() {
    let redis = RedisServer::start(&[]);
    let (directory, _) = place();
    let sqlite = format!("sqlite:{}/a.db", directory.path().display());
    let runtime = runtime();
    runtime.block_on(async { fill(&open(&sqlite).await, 1).await });
    let nobody = format!(
        "redis://:s3cret@127.0.0.1:{}",
        tessera_tests::servers::free_port()
    );
    for (from, to, said) in [
        (sqlite.as_str(), sqlite.as_str(), "the same store"),
        (&sqlite, &format!("cached+{sqlite}"), "the same store"),
        ("memory:", &sqlite, "own process"),
        (&sqlite, "memory:", "own process"),
        (&redis.url(), &nobody, "cannot be reached"),
        ("redis://:s3cret@", &sqlite, "--from <URL>"),
        ("sqlite:/nowhere/a.db", &sqlite, "there is no file"),
    ] {
        let migration = Migration::new(from, to);
        let (done, printed, complaint) = run(&migration.arguments());
        assert!(!done && complaint.contains(said), "{said}: {printed}{complaint}");
        assert!(!complaint.contains("s3cret"), "{complaint}");
    }
    // MariaDB takes 8 MiB.
    let mariadb = MariaDb::start();
    runtime.block_on(async {
        let store = open(&sqlite).await;
        let value = "x".repeat(9 << 20);
        store
            .insert(Timestamp::now(), "large", &value, &until(None, 600))
            .await
            .expect("written");
    });
    let migration = Migration::new(&sqlite, &mariadb.url());
    let (done, printed, complaint) = run(&migration.arguments());
    assert!(
        !done && complaint.contains("1 sessions are larger"),
        "{complaint}"
    );
    says(&printed, "copied 1");
}
