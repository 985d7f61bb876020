//! Writers of one session wait for each other in the process, and nobody waits who need not.

use std::time::Duration;

use tessera::store::{MemoryStore, StoreService};
use tessera::{FieldRule, KeepFields, SessionError, Sessions, SessionsBuilder};
use tessera_tests::flood::save_at_once;
use tessera_tests::stores::{NeverReady, Paused, Script, Scripted};

use super::{builder, saved};

type Slow = Scripted<NeverReady<MemoryStore>>;

/// Sessions over a store that never answers at once, and a hand on what it is asked.
fn slow(rule: FieldRule, places: usize) -> (Sessions, Slow) {
    let (store, _pauses) = Scripted::new(NeverReady::new(MemoryStore::new()));
    let sessions = builder()
        .policy(|policy| policy.field_rule = rule)
        .queue_places(places)
        .build(store.clone())
        .unwrap();
    (sessions, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_saves_at_once_are_all_accepted_under_both_field_rules() {
    for rule in [FieldRule::LaterWins, FieldRule::Conflict] {
        let (sessions, _store) = slow(rule, 64);
        let (_, token) = saved(&sessions).await;
        let told = save_at_once(&[sessions], &token, 50).await.unwrap();
        assert_eq!((told.accepted, told.contended), (50, 0), "{rule:?}");
    }
}

#[tokio::test]
async fn who_waited_begins_with_the_entry_that_the_one_before_wrote() {
    let held = held(NeverReady::new(MemoryStore::new()), builder()).await;
    let (sessions, store, token) = (held.sessions, held.store, held.token);
    let mut saves = vec![held.save];
    store.swap(Script::default());
    for number in 0..50 {
        let session = sessions.open(&token).await.unwrap();
        session.set(&format!("field{number}"), &number).unwrap();
        saves.push(tokio::spawn(async move { session.save().await }));
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.swap(Script::default());
    held.paused.go_on.send(()).unwrap();
    for save in saves {
        save.await.unwrap().unwrap();
    }
    let questions = store.swap(Script::default()).questions;
    let count = |question: &str| questions.iter().filter(|asked| *asked == question).count();
    // The first one's replacement was asked before. None behind it has to look, and none is refused.
    assert_eq!((count("get fresh"), count("replace")), (0, 50));
    let session = sessions.open(&token).await.unwrap();
    assert_eq!(session.entries().unwrap().len(), 52);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_places_writers_contend_in_the_store_and_none_is_refused_for_it() {
    let (sessions, _store) = slow(FieldRule::LaterWins, 0);
    let (_, token) = saved(&sessions).await;
    let told = save_at_once(&[sessions], &token, 8).await.unwrap();
    assert_eq!(told.accepted, 8);
}

/// The first save is under way, as many wait as there are places, and the last is refused and writes nothing.
#[tokio::test]
async fn a_save_that_finds_no_place_is_refused_and_writes_nothing() {
    let held = held(NeverReady::new(MemoryStore::new()), builder().queue_places(2)).await;
    let mut saves = vec![held.save];
    for name in ["b", "c"] {
        let session = held.sessions.open(&held.token).await.unwrap();
        session.set(name, &1).unwrap();
        saves.push(tokio::spawn(async move { session.save().await }));
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let crowded = held.sessions.open(&held.token).await.unwrap();
    crowded.set("d", &1).unwrap();
    assert!(matches!(crowded.save().await, Err(SessionError::Contended)));
    held.store.swap(Script::default());
    held.paused.go_on.send(()).unwrap();
    for save in saves {
        save.await.unwrap().unwrap();
    }
    let session = held.sessions.open(&held.token).await.unwrap();
    assert_eq!(session.get::<i64>("d").unwrap(), None);
    // What was refused can be saved again.
    crowded.save().await.unwrap();
    let session = held.sessions.open(&held.token).await.unwrap();
    assert_eq!(session.entries().unwrap().len(), 5);
}

/// A save that is held up in the store, as long as nobody lets it go on.
struct Held<S> {
    sessions: Sessions,
    store: Scripted<S>,
    token: String,
    save: tokio::task::JoinHandle<Result<tessera::Grant, SessionError>>,
    paused: Paused,
    /// Later questions would wait for somebody to receive them.
    _pauses: tokio::sync::mpsc::UnboundedReceiver<Paused>,
}

async fn held<S: StoreService>(inner: S, builder: SessionsBuilder) -> Held<S> {
    let (store, mut pauses) = Scripted::new(inner);
    let sessions = builder.build(store.clone()).unwrap();
    let (session, token) = saved(&sessions).await;
    let mut script = Script::default();
    script.pause("replace".into(), 1, Vec::new());
    store.swap(script);
    session.set("a", &1).unwrap();
    let save = tokio::spawn(async move { session.save().await });
    let paused = pauses.recv().await.unwrap();
    Held {
        sessions,
        store,
        token,
        save,
        paused,
        _pauses: pauses,
    }
}

/// What comes while a save is held up is seen by what it asks.
#[tokio::test]
async fn ends_and_logins_that_keep_nothing_wait_for_nobody() {
    let held = held(MemoryStore::new(), builder()).await;
    let (sessions, token) = (&held.sessions, &held.token);
    let (again, login, logout) = (
        sessions.open(token).await.unwrap(),
        sessions.open(token).await.unwrap(),
        sessions.open(token).await.unwrap(),
    );
    // A second save waits for its turn: it asks nothing.
    again.set("b", &1).unwrap();
    let waiting = tokio::spawn(async move { again.save().await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());
    login.authenticate("alice").await.unwrap();
    assert_eq!(
        logout.destroy().await.unwrap_err().to_string(),
        SessionError::Replaced.to_string()
    );
    assert!(!held.save.is_finished() && !waiting.is_finished());
    held.paused.go_on.send(()).unwrap();
    assert!(matches!(held.save.await.unwrap(), Err(SessionError::Replaced)));
    assert!(matches!(waiting.await.unwrap(), Err(SessionError::Replaced)));
}

#[tokio::test]
async fn a_login_that_keeps_fields_goes_before_saves_and_keeps_what_was_saved_before_it() {
    let held = held(MemoryStore::new(), builder()).await;
    let (sessions, token) = (&held.sessions, &held.token);
    let (later, login) = (
        sessions.open(token).await.unwrap(),
        sessions.open(token).await.unwrap(),
    );
    later.set("b", &1).unwrap();
    let later = tokio::spawn(async move { later.save().await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let login = tokio::spawn(async move {
        let granted = login.authenticate_keeping("alice", &KeepFields::Everything).await;
        granted.map(|granted| granted.token)
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    held.paused.go_on.send(()).unwrap();
    held.save.await.unwrap().unwrap();
    let token = login.await.unwrap().unwrap().unwrap();
    assert!(matches!(later.await.unwrap(), Err(SessionError::Replaced)));
    let session = sessions.open(&token).await.unwrap();
    assert_eq!(session.get::<i64>("a").unwrap(), Some(1));
    assert_eq!(session.get::<i64>("b").unwrap(), None);
}

#[tokio::test]
async fn a_writer_whose_caller_went_away_while_it_waited_holds_up_nobody() {
    let held = held(MemoryStore::new(), builder()).await;
    let (sessions, token) = (&held.sessions, &held.token);
    let (gone, last) = (
        sessions.open(token).await.unwrap(),
        sessions.open(token).await.unwrap(),
    );
    gone.set("b", &1).unwrap();
    last.set("c", &1).unwrap();
    let last = {
        let mut gives_up = std::pin::pin!(gone.save());
        assert!(super::at_once(gives_up.as_mut()).is_none());
        let last = tokio::spawn(async move { last.save().await });
        tokio::time::sleep(Duration::from_millis(10)).await;
        held.paused.go_on.send(()).unwrap();
        held.save.await.unwrap().unwrap();
        // Its turn has come, and nobody polls it.
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!last.is_finished());
        last
    };
    last.await.unwrap().unwrap();
    let session = sessions.open(token).await.unwrap();
    assert_eq!(session.get::<i64>("c").unwrap(), Some(1));
    assert_eq!(session.get::<i64>("b").unwrap(), None);
}
