//! What ends a session or logs its owner in is delayed by no flood of saves, and ends nobody else's session; over every store,
//! on real servers.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::io::Write as _;

use tempfile::TempDir;
use tessera::store::{MemoryStore, RedisStore, RedisUrl, SqlStore, SqliteStore, Store};
use tessera::{FieldRule, SessionError};
use tessera_tests::flood::{OwnersCall, builder, meet, save_at_once};
use tessera_tests::servers::{MariaDb, Postgres, RedisServer, Server};

/// How many connections the flood has.
const CONNECTIONS: usize = 256;
/// How often each call is made under a flood of its own.
const ROUNDS: usize = 4;
/// How many revocations race a login.
const RACES: usize = 600;
/// How many fields are saved at once.
const SAVES: usize = 50;

/// Not `print`, which the test harness would swallow: rates are to be seen.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

async fn redis(server: &RedisServer) -> RedisStore {
    let url: RedisUrl = server.url().parse().expect("a URL");
    RedisStore::open(&url).await.expect("an open store")
}

async fn sql(server: &impl Server) -> SqlStore {
    SqlStore::open(&server.url()).await.expect("an open store")
}

/// Saves do not change the guard, so the first try is the last one however many come in between.
async fn ends_and_logins_are_not_delayed<S: Store + Clone>(name: &str, store: &S) {
    for _ in 0..ROUNDS {
        let met = meet(store, OwnersCall::Logout, CONNECTIONS)
            .await
            .expect("a flood");
        assert!(met.ended.is_ok(), "{name}: {met:?}");
        assert_eq!(met.questions, ["get fresh", "delete"], "{name}");
        let all_missing = met
            .refused
            .iter()
            .all(|error| matches!(error, SessionError::Missing));
        assert!(all_missing, "{name}: {:?}", met.refused);
        let met = meet(store, OwnersCall::Login, CONNECTIONS)
            .await
            .expect("a flood");
        assert!(met.ended.is_ok(), "{name}: {met:?}");
        assert_eq!(met.questions, ["replace"], "{name}");
        let all_replaced = met
            .refused
            .iter()
            .all(|error| matches!(error, SessionError::Replaced));
        assert!(all_replaced, "{name}: {:?}", met.refused);
        assert!(met.saved > 0, "{name}: the flood saved nothing");
    }
}

/// A revocation by reference and a login of the session as another subject: an order of the two explains every outcome.
async fn a_revocation_ends_no_other_subjects_login<S: Store + Clone>(name: &str, store: &S) {
    let sessions = builder().build(store.clone()).expect("sessions");
    let mut revoked = 0;
    for race in 0..RACES {
        let session = sessions.create();
        let token = session
            .authenticate("alice")
            .await
            .expect("a login")
            .token
            .expect("a token");
        let public_id = session.details().expect("details").public_id;
        let login = sessions.open(&token).await.expect("a session");
        let revoke = async {
            // Either may come first.
            if race % 2 == 0 {
                tokio::task::yield_now().await;
            }
            sessions.revoke("alice", &public_id).await
        };
        let (revocation, login_ended) = tokio::join!(revoke, login.authenticate("bob"));
        let (was_alices, bobs) = match (revocation.expect("a revocation"), login_ended) {
            (was_alices, Ok(granted)) => (was_alices, granted.token),
            (was_alices, Err(SessionError::Missing)) => (was_alices, None),
            (_, Err(error)) => panic!("{name}: the login ends with {error}"),
        };
        // First the revocation, and the login finds nothing; or first the login, and the session is not alice's any longer.
        assert_eq!(was_alices, bobs.is_none(), "{name}: race {race}");
        if let Some(bobs) = bobs {
            let session = sessions.open(&bobs).await.expect("an acknowledged login opens");
            assert_eq!(
                session.subject().expect("a subject").as_deref(),
                Some("bob"),
                "{name}"
            );
            session.destroy().await.expect("a logout");
        }
        revoked += u32::from(was_alices);
    }
    tell(&format!(
        "{name}: {revoked} of {RACES} revocations came before the login"
    ));
}

async fn saves_of_one_process_wait_for_each_other<S: Store + Clone>(name: &str, store: &S) {
    for rule in [FieldRule::LaterWins, FieldRule::Conflict] {
        let build = || {
            let builder = builder();
            builder
                .policy(|policy| policy.field_rule = rule)
                .build(store.clone())
                .expect("sessions")
        };
        let (one, other) = (build(), build());
        let (mut accepted, mut contended) = (0, 0);
        for _ in 0..ROUNDS {
            let session = one.create();
            let token = session.save().await.expect("a session").token.expect("a token");
            let alone = save_at_once(std::slice::from_ref(&one), &token, SAVES)
                .await
                .expect("saves");
            assert_eq!((alone.accepted, alone.contended), (SAVES, 0), "{name}: {rule:?}");
            let session = one.create();
            let token = session.save().await.expect("a session").token.expect("a token");
            let both = save_at_once(&[one.clone(), other.clone()], &token, SAVES)
                .await
                .expect("saves");
            (accepted, contended) = (accepted + both.accepted, contended + both.contended);
        }
        let all = accepted + contended;
        tell(&format!(
            "{name}: {rule:?}: through two processes {contended} of {all} saves were contended"
        ));
    }
}

async fn all<S: Store + Clone>(name: &str, store: &S) {
    ends_and_logins_are_not_delayed(name, store).await;
    a_revocation_ends_no_other_subjects_login(name, store).await;
    saves_of_one_process_wait_for_each_other(name, store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_memory() {
    all("memory", &MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sqlite() {
    let directory = TempDir::new().expect("a directory");
    let store = SqliteStore::open(directory.path().join("sessions.db")).expect("a store");
    all("sqlite", &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_redis() {
    let server = RedisServer::start(&[]);
    all("redis", &redis(&server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_postgres() {
    let server = Postgres::start();
    all("postgres", &sql(&server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_mariadb() {
    let server = MariaDb::start();
    all("mariadb", &sql(&server).await).await;
}
