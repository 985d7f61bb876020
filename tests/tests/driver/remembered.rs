//! Opens that are remembered: none is answered that no longer holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tessera::store::MemoryStore;
use tessera::{Clock, SessionError, Sessions, SigningKey, Timestamp, TokenFault};

use super::{Gated, builder};

const START_MS: u64 = 1_767_225_600_000;

/// A clock that stands where it is put.
#[derive(Clone)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START_MS)))
    }

    fn set(&self, seconds: i64) {
        let moment = START_MS.saturating_add_signed(seconds * 1000);
        self.0.store(moment, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

async fn saved(sessions: &Sessions) -> String {
    let session = sessions.create();
    session.set("n", &0).unwrap();
    let token = session.save().await.unwrap().token.unwrap();
    // From here on it is remembered.
    sessions.open(&token).await.unwrap();
    token
}

fn with(store: Gated, clock: &Hands) -> Sessions {
    builder().clock(clock.clone()).build(store).unwrap()
}

#[tokio::test]
async fn the_store_is_asked_at_every_open_and_once() {
    let (store, clock) = (Gated::default(), Hands::new());
    for remembered in [0, 1, 65_536] {
        let sessions = builder()
            .clock(clock.clone())
            .remembered_sessions(remembered)
            .build(store.clone())
            .unwrap();
        let token = saved(&sessions).await;
        let before = store.reads.load(Ordering::SeqCst);
        for _ in 0..10 {
            let session = sessions.open(&token).await.unwrap();
            assert_eq!(session.get::<i64>("n").unwrap(), Some(0));
        }
        assert_eq!(store.reads.load(Ordering::SeqCst) - before, 10, "{remembered}");
    }
}

#[tokio::test]
async fn a_record_that_the_store_answers_otherwise_is_decided_anew() {
    let (store, clock) = (Gated::default(), Hands::new());
    let sessions = with(store.clone(), &clock);
    let token = saved(&sessions).await;
    let open = || sessions.open(&token);
    let before = open().await.unwrap().details().unwrap().expires_at;
    // A backup has the same version, and another expiry.
    *store.alters.lock().unwrap() = Some(|entry| {
        entry.expires_at = Timestamp::from_millis(entry.expires_at.as_millis() - 1);
    });
    let after = open().await.unwrap().details().unwrap().expires_at;
    assert_eq!(after.as_millis() + 1, before.as_millis());
    // A damaged record keeps its version and its expiry.
    *store.alters.lock().unwrap() =
        Some(|entry| entry.value = entry.value.replace("\"n\":0", "\"n\":7").into());
    assert_eq!(open().await.unwrap().get::<i64>("n").unwrap(), Some(7));
    *store.alters.lock().unwrap() = Some(|entry| entry.value = "{}".into());
    assert!(matches!(open().await, Err(SessionError::Corrupt { .. })));
    *store.alters.lock().unwrap() = Some(|entry| entry.version += 1);
    assert_eq!(open().await.unwrap().get::<i64>("n").unwrap(), Some(0));
    // The guard is no part of the decision, and what ends the session is conditional on it.
    *store.alters.lock().unwrap() = None;
    open().await.unwrap().destroy().await.unwrap();
    assert!(matches!(open().await, Err(SessionError::Missing)));
}

#[tokio::test]
async fn a_clock_that_goes_back_or_past_a_moment_is_decided_by() {
    let clock = Hands::new();
    let sessions = with(Gated::default(), &clock);
    let token = saved(&sessions).await;
    clock.set(-3600);
    let early = sessions.open(&token).await.unwrap_err();
    assert!(matches!(
        early,
        SessionError::InvalidToken(TokenFault::NotYetValid { .. })
    ));
    clock.set(59);
    assert!(!sessions.open(&token).await.unwrap().details().unwrap().touch_due);
    clock.set(60);
    let session = sessions.open(&token).await.unwrap();
    assert!(session.details().unwrap().touch_due);
    clock.set(1800);
    assert!(matches!(sessions.open(&token).await, Err(SessionError::Missing)));
    // A session that was open before says so by its own clock.
    clock.set(70);
    assert!(session.details().unwrap().touch_due);
}

#[tokio::test]
async fn what_is_known_of_an_open_session_goes_with_the_clock() {
    let clock = Hands::new();
    let sessions = with(Gated::default(), &clock);
    let token = saved(&sessions).await;
    let session = sessions.open(&token).await.unwrap();
    session.set("n", &1).unwrap();
    clock.set(61);
    let details = session.details().unwrap();
    assert!(details.touch_due && details.modified);
    // Changes go on waiting over the record that they were made on.
    assert!(session.touch().await.unwrap());
    let details = session.details().unwrap();
    assert!(!details.touch_due && details.modified);
    session.save().await.unwrap();
    assert_eq!(
        sessions.open(&token).await.unwrap().get::<i64>("n").unwrap(),
        Some(1)
    );
}

#[tokio::test]
async fn a_key_that_was_taken_out_of_the_ring_opens_nothing_from_memory() {
    let sessions = with(Gated::default(), &Hands::new());
    let token = saved(&sessions).await;
    sessions
        .replace_keys([SigningKey::new("other", [9; 32])])
        .unwrap();
    assert!(matches!(
        sessions.open(&token).await,
        Err(SessionError::InvalidToken(TokenFault::UnknownKey))
    ));
}

#[tokio::test]
async fn another_policy_over_the_same_store_remembers_for_itself() {
    let (store, clock) = (Gated::default(), Hands::new());
    let sessions = with(store.clone(), &clock);
    let token = saved(&sessions).await;
    let elsewhere = builder()
        .policy(|policy| policy.audience = "elsewhere".into())
        .clock(clock.clone())
        .build(store)
        .unwrap();
    assert!(matches!(
        elsewhere.open(&token).await,
        Err(SessionError::InvalidToken(TokenFault::WrongMac))
    ));
}

#[tokio::test]
async fn a_renewed_token_is_opened_by_its_own_use_and_not_by_the_write_that_made_it() {
    let sessions = with(Gated::default(), &Hands::new());
    let token = saved(&sessions).await;
    let renewed = sessions.open(&token).await.unwrap().rotate().await.unwrap();
    let session = sessions.open(&renewed.token.unwrap()).await.unwrap();
    // Unconfirmed, so that the theft of the old one is seen.
    assert!(session.details().unwrap().touch_due);
    assert!(session.touch().await.unwrap());
}

#[tokio::test]
async fn a_save_is_remembered_under_the_token_it_was_made_with_and_no_longer_than_the_open_before() {
    let (store, clock) = (Gated::default(), Hands::new());
    let sessions = with(store.clone(), &clock);
    let token = saved(&sessions).await;
    // The touch is due a minute after the open, whenever the session was saved since.
    clock.set(30);
    let session = sessions.open(&token).await.unwrap();
    session.set("n", &1).unwrap();
    session.save().await.unwrap();
    let reads = store.reads.load(Ordering::SeqCst);
    let opened = sessions.open(&token).await.unwrap();
    assert_eq!(opened.get::<i64>("n").unwrap(), Some(1));
    assert_eq!(store.reads.load(Ordering::SeqCst) - reads, 1);
    clock.set(89);
    assert!(!sessions.open(&token).await.unwrap().details().unwrap().touch_due);
    clock.set(90);
    assert!(sessions.open(&token).await.unwrap().details().unwrap().touch_due);
    // The save of another session of the same host, and a damaged record.
    opened.set("n", &2).unwrap();
    opened.save().await.unwrap();
    *store.alters.lock().unwrap() =
        Some(|entry| entry.value = entry.value.replace("\"n\":2", "\"n\":7").into());
    assert_eq!(
        sessions.open(&token).await.unwrap().get::<i64>("n").unwrap(),
        Some(7)
    );
    *store.alters.lock().unwrap() = None;
    opened.destroy().await.unwrap();
    assert!(matches!(sessions.open(&token).await, Err(SessionError::Missing)));
}

#[tokio::test]
async fn two_who_open_one_session_from_memory_lose_no_change_of_each_other() {
    let sessions = builder()
        .clock(Hands::new())
        .build(MemoryStore::builder().sweep_interval(Duration::ZERO).build())
        .unwrap();
    let token = saved(&sessions).await;
    let (one, other) = (
        sessions.open(&token).await.unwrap(),
        sessions.open(&token).await.unwrap(),
    );
    one.set("a", &1).unwrap();
    other.set("b", &2).unwrap();
    one.save().await.unwrap();
    other.save().await.unwrap();
    assert_eq!(sessions.open(&token).await.unwrap().entries().unwrap().len(), 3);
}
