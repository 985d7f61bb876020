//! What the driver promises: calls that never wait, repeats that change nothing, calls that end though nobody waits for them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tessera::store::{Capabilities, Entry, MemoryStore, StoreOp, StoreReply, StoreService};
use tessera::{Clock, Session, SessionError, Sessions, SessionsBuilder, Timestamp};
use tessera_tests::stores::NeverReady;

#[path = "driver/holds.rs"]
mod holds;
#[path = "driver/interleaved.rs"]
mod interleaved;
#[path = "driver/keys.rs"]
mod keys;
#[path = "driver/queue.rs"]
mod queue;
#[path = "driver/remembered.rs"]
mod remembered;

pub(crate) fn builder() -> SessionsBuilder {
    Sessions::builder().signing_key("test", [7; 32])
}

/// Polls a future once; the answer, if it is there at once.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// What becomes of an entry that is read.
type Alter = fn(&mut Entry);

/// A store whose writes wait until the gate is opened. Shared, so that a test keeps a hand on it.
#[derive(Clone, Default)]
struct Gated {
    inner: Arc<MemoryStore>,
    closed: Arc<AtomicBool>,
    opened: Arc<tokio::sync::Notify>,
    writes: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
    /// What becomes of each entry that is read.
    alters: Arc<Mutex<Option<Alter>>>,
}

impl Gated {
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    async fn pass(&self) {
        loop {
            let opened = self.opened.notified();
            if !self.closed.load(Ordering::SeqCst) {
                return;
            }
            opened.await;
        }
    }
}

impl StoreService for Gated {
    fn describe(&self) -> Capabilities {
        StoreService::describe(&*self.inner)
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        match op {
            StoreOp::Get { .. } => {
                self.reads.fetch_add(1, Ordering::SeqCst);
            }
            StoreOp::Replace { .. } => {
                self.pass().await;
                self.writes.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        let mut reply = self.inner.call(now, op).await;
        if let (StoreReply::Entry(Ok(entry)), Some(alter)) = (&mut reply, *self.alters.lock().unwrap()) {
            alter(entry);
        }
        reply
    }
}

async fn saved(sessions: &Sessions) -> (Session, String) {
    let session = sessions.create();
    session.set("n", &0).unwrap();
    let token = session.save().await.unwrap().token.unwrap();
    (session, token)
}

#[test]
fn sessions_can_be_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Sessions>();
    shared::<Session>();
    shared::<SessionError>();
}

#[test]
fn a_store_that_answers_at_once_takes_one_pass_and_no_runtime() {
    let sessions = builder().build(MemoryStore::new()).unwrap();
    let session = sessions.create();
    session.set("n", &1).unwrap();
    let token = at_once(session.authenticate("alice"))
        .unwrap()
        .unwrap()
        .token
        .unwrap();
    let session = at_once(sessions.open(&token)).unwrap().unwrap();
    session.set("n", &2).unwrap();
    at_once(session.save()).unwrap().unwrap();
    at_once(session.rotate()).unwrap().unwrap();
    at_once(session.touch()).unwrap().unwrap();
    assert_eq!(
        at_once(sessions.list("alice", tessera::PageRequest::default()))
            .unwrap()
            .unwrap()
            .items
            .len(),
        1
    );
    at_once(session.destroy()).unwrap().unwrap();
    assert_eq!(at_once(sessions.revoke_all("alice")).unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_store_that_never_answers_at_once_makes_every_call_wait() {
    let sessions = builder().build(NeverReady::new(MemoryStore::new())).unwrap();
    let (_, token) = saved(&sessions).await;
    let waited = (0..10)
        .filter(|_| at_once(sessions.open(&token)).is_none())
        .count();
    assert!(waited > 5, "{waited}");
    assert_eq!(
        sessions.open(&token).await.unwrap().get::<i64>("n").unwrap(),
        Some(0)
    );
}

#[tokio::test]
async fn while_a_save_is_pending_every_other_call_on_the_session_is_busy() {
    let store = Gated::default();
    let sessions = builder().build(store.clone()).unwrap();
    let (session, _) = saved(&sessions).await;
    session.set("n", &1).unwrap();
    store.close();
    let session = Arc::new(session);
    let saving = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.save().await }
    });
    tokio::task::yield_now().await;

    assert!(matches!(session.set("n", &2), Err(SessionError::Busy)));
    assert!(matches!(session.get::<i64>("n"), Err(SessionError::Busy)));
    assert!(matches!(session.save().await, Err(SessionError::Busy)));
    assert!(matches!(session.details(), Err(SessionError::Busy)));
    assert!(matches!(session.fork(), Err(SessionError::Busy)));
    store.open();
    saving.await.unwrap().unwrap();
    session.set("n", &3).unwrap();
    session.save().await.unwrap();
}

#[tokio::test]
async fn a_save_whose_caller_went_away_is_finished_all_the_same() {
    let store = Gated::default();
    let sessions = builder().build(store.clone()).unwrap();
    let (session, token) = saved(&sessions).await;
    session.set("n", &1).unwrap();
    store.close();
    assert!(at_once(session.save()).is_none());
    // The future is gone; the write it has asked for is not.
    assert!(matches!(session.set("n", &2), Err(SessionError::Busy)));
    drop(session);
    store.open();
    while store.writes.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        while sessions.open(&token).await.unwrap().get::<i64>("n").unwrap() != Some(1) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the write ends");
}

#[tokio::test]
async fn an_open_whose_caller_went_away_leaves_nothing_behind() {
    let sessions = builder()
        .instances(1)
        .build(NeverReady::new(MemoryStore::new()))
        .unwrap();
    let (session, token) = saved(&sessions).await;
    drop(session);
    // The store answers some at the second poll, which is the driver's own.
    let abandoned = (0..100)
        .filter(|_| at_once(sessions.open(&token)).is_none())
        .count();
    assert!(abandoned > 50, "{abandoned}");
    sessions.open(&token).await.unwrap();
}

#[tokio::test]
async fn sessions_that_are_open_take_no_room_of_an_instance() {
    let sessions = builder().instances(1).build(MemoryStore::new()).unwrap();
    let (_, token) = saved(&sessions).await;
    // 400 MB of changes wait beside an instance that could hold 256.
    let text = "x".repeat(16_000);
    let mut open = Vec::new();
    for _ in 0..25_000 {
        let session = sessions.open(&token).await.unwrap();
        session.set("text", &text).unwrap();
        open.push(session);
    }
    let last = open.pop().unwrap();
    last.save().await.unwrap();
    assert_eq!(open[0].get::<i64>("n").unwrap(), Some(0));
    assert_eq!(open[0].fork().unwrap().get::<String>("text").unwrap(), Some(text));
}

/// A clock that panics when it is told to: a host's fault within a call of the component.
#[derive(Clone, Default)]
struct Panicking(Arc<AtomicBool>);

impl Clock for Panicking {
    fn now(&self) -> Timestamp {
        assert!(
            !self.0.swap(false, Ordering::SeqCst),
            "the clock was told to panic"
        );
        Timestamp::now()
    }
}

#[tokio::test]
async fn a_fault_within_a_call_loses_that_instance_and_no_session() {
    let clock = Panicking::default();
    let sessions = builder()
        .instances(2)
        .clock(clock.clone())
        .build(MemoryStore::new())
        .unwrap();
    let (here, token) = saved(&sessions).await;
    here.set("n", &1).unwrap();
    // Threads take turns at the two instances, so some of these were opened by the other one.
    let elsewhere: Vec<Session> = (0..16)
        .map(|_| {
            let (sessions, token) = (sessions.clone(), token.clone());
            let opened = std::thread::spawn(move || at_once(sessions.open(&token)).unwrap().unwrap());
            opened.join().unwrap()
        })
        .collect();

    clock.0.store(true, Ordering::SeqCst);
    let sessions_here = sessions.clone();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sessions_here.verify(&token, None)
    }));
    assert!(caught.is_err());

    // A session is data: those that are open go on, whichever instance they were opened by.
    assert_eq!(here.get::<i64>("n").unwrap(), Some(1));
    here.save().await.unwrap();
    for session in &elsewhere {
        assert_eq!(session.get::<i64>("n").unwrap(), Some(0));
        assert!(!session.csrf_token().unwrap().is_empty());
    }
    assert_eq!(
        sessions.open(&token).await.unwrap().get::<i64>("n").unwrap(),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_change_one_session_and_lose_nothing() {
    let sessions = builder().build(MemoryStore::new()).unwrap();
    let (_, token) = saved(&sessions).await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let (sessions, token) = (sessions.clone(), token.clone());
            tokio::spawn(async move {
                let name = format!("task{task}");
                for round in 0..200_i64 {
                    let session = sessions.open(&token).await.unwrap();
                    assert_eq!(session.get::<i64>(&name).unwrap().unwrap_or(0), round);
                    session.set(&name, &(round + 1)).unwrap();
                    // Eight in a row at most are waited out; what is contended was not written.
                    while let Err(error) = session.save().await {
                        assert!(matches!(error, SessionError::Contended), "{error}");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let session = sessions.open(&token).await.unwrap();
    for task in 0..8 {
        assert_eq!(session.get::<i64>(&format!("task{task}")).unwrap(), Some(200));
    }
}
