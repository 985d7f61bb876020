//! When an attachment reads its mailbox: after each notification, at intervals without one, and not more often.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tessera::connections::{
    Attachment, Batch, Changed, Connections, Event, Limit, Mailbox, MailboxError, MemoryMailbox, Message,
    MessageId, Name, Registration,
};
use tessera::store::{Cause, MemoryStore, StoreError};
use tessera::{Sessions, Timestamp};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::fixture::PATIENCE;
use super::forward::forward;

/// The interval of reads without a notification.
const POLL: Duration = Duration::from_secs(30);
/// The interval at which a caller gives a call up and repeats it, as for signs of life. Never at the moment of a read.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(13_010);

/// Counts the reads of mailboxes in memory.
#[derive(Clone, Default)]
struct Counted {
    mailbox: MemoryMailbox,
    reads: Arc<AtomicUsize>,
    /// Whether the next notifications are lost.
    is_silent: Arc<AtomicBool>,
    /// Whether reads fail.
    is_down: Arc<AtomicBool>,
    /// Whether reads find an empty mailbox of another history.
    is_lost: Arc<AtomicBool>,
}

impl Counted {
    /// The number of reads since the last call.
    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }
}

impl Mailbox for Counted {
    forward!(open append attach detach end acknowledge keep look walk);

    /// Waits before and after the read, so that a caller may give it up at either place.
    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        yield_now().await;
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable(Cause::new("down")).into());
        }
        let mut batch = self.mailbox.read(now, name, after, limit).await?;
        yield_now().await;
        if self.is_lost.load(Ordering::SeqCst) {
            batch.from = MessageId::START;
            batch.is_gap = after != MessageId::START;
            batch.entries.clear();
        }
        Ok(batch)
    }

    fn changed(&self) -> impl Stream<Item = Changed> + Send + use<> {
        let is_silent = Arc::clone(&self.is_silent);
        let changes = self.mailbox.changed();
        changes.filter(move |_| std::future::ready(!is_silent.load(Ordering::SeqCst)))
    }
}

/// A node with one client.
struct Fixture {
    node: Connections<Counted>,
    mailbox: Counted,
    client: Attachment<Counted>,
}

async fn attached() -> Fixture {
    let sessions = Sessions::builder()
        .signing_key("k", [7; 32])
        .build(MemoryStore::new())
        .expect("sessions");
    let mailbox = Counted::default();
    let node = Connections::builder(&sessions).poll(POLL).build(mailbox.clone());
    let node = node.expect("a node");
    let session = sessions.create();
    session.authenticate("alice").await.expect("a login");
    let client = node.open(&session, Registration::default()).await;
    Fixture {
        client: client.expect("a connection"),
        node,
        mailbox,
    }
}

impl Fixture {
    async fn send(&self, data: &str) {
        let message = Message::new(None, data).expect("a message");
        let sent = self.node.send(self.client.name(), &message, None).await;
        sent.expect("an id");
    }

    /// The text of the next message.
    async fn message(&mut self) -> String {
        let event = timeout(10 * POLL, self.client.next()).await;
        text(event.expect("an event in time"))
    }

    /// Waits for events as a stream does, and finds none.
    async fn is_idle_for(&mut self, time: Duration) {
        let idle = async {
            loop {
                let given_up = timeout(GIVEN_UP_AFTER, self.client.next()).await;
                assert!(given_up.is_err(), "{given_up:?}");
            }
        };
        let idle = timeout(time, idle).await;
        assert!(idle.is_err());
    }
}

fn text(event: Option<Event>) -> String {
    match event {
        Some(Event::Message(entry)) => entry.message.data().to_owned(),
        event => panic!("{event:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_an_idle_client_is_one_read() {
    let mut here = attached().await;
    here.is_idle_for(POLL / 2).await;
    assert_eq!(here.mailbox.reads(), 1, "at the beginning");
    for data in ["a", "b", "c"] {
        here.send(data).await;
        assert_eq!(here.message().await, data);
        // The acknowledgement evicts nothing, and so is no change.
        here.is_idle_for(POLL / 2).await;
        assert_eq!(here.mailbox.reads(), 1, "of the message");
    }
}

#[tokio::test(start_paused = true)]
async fn many_messages_are_read_in_batches() {
    let mut here = attached().await;
    here.is_idle_for(POLL / 2).await;
    for number in 0..640 {
        here.send(&number.to_string()).await;
        if number % 160 == 159 {
            here.mailbox.reads();
            for received in number - 159..=number {
                assert_eq!(here.message().await, received.to_string());
            }
            // 64, 64 and 32 messages, and once after the last of the acknowledgements in between.
            let reads = here.mailbox.reads();
            assert!(reads <= 4, "{reads} reads of 160 messages");
        }
    }
}

/// Calls that are given up and repeated more often than the mailbox is read do not put the read off.
#[tokio::test(start_paused = true)]
async fn a_message_without_a_notification_is_read_after_the_poll_interval() {
    for is_given_up_after in [GIVEN_UP_AFTER, Duration::from_millis(70), POLL * 2] {
        let mut here = attached().await;
        here.is_idle_for(POLL / 2).await;
        here.mailbox.is_silent.store(true, Ordering::SeqCst);
        here.send("a").await;
        let began = tokio::time::Instant::now();
        let received = loop {
            assert!(began.elapsed() <= POLL + is_given_up_after, "no message");
            if let Ok(event) = timeout(is_given_up_after, here.client.next()).await {
                break text(event);
            }
        };
        assert_eq!(received, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_mailbox_is_read_once_an_interval() {
    let mut here = attached().await;
    here.is_idle_for(POLL / 2).await;
    here.mailbox.reads();
    here.is_idle_for(10 * POLL).await;
    assert_eq!(here.mailbox.reads(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_repeated_after_a_pause() {
    let mut here = attached().await;
    here.is_idle_for(POLL / 2).await;
    here.mailbox.is_down.store(true, Ordering::SeqCst);
    here.mailbox.reads();
    here.send("a").await;
    // Given up more often than the read is to be repeated.
    for _ in 0..77 {
        let given_up = timeout(Duration::from_millis(130), here.client.next()).await;
        assert!(given_up.is_err(), "{given_up:?}");
    }
    let reads = here.mailbox.reads();
    assert!((15..=23).contains(&reads), "{reads} reads in ten seconds");
    here.mailbox.is_down.store(false, Ordering::SeqCst);
    let event = timeout(Duration::from_secs(1), here.client.next()).await;
    assert_eq!(text(event.expect("an event in time")), "a");
}

/// The mailbox of another history takes the place of a message that was to be acknowledged.
#[tokio::test(start_paused = true)]
async fn a_gap_in_place_of_what_was_to_be_acknowledged_is_read_once() {
    let mut here = attached().await;
    here.send("a").await;
    assert_eq!(here.message().await, "a");
    here.is_idle_for(Duration::from_millis(500)).await;
    here.mailbox.is_lost.store(true, Ordering::SeqCst);
    here.send("b").await;
    assert_eq!(here.client.next().await, Some(Event::Gap(MessageId::START)));
    here.mailbox.reads();
    here.is_idle_for(POLL - Duration::from_secs(1)).await;
    assert_eq!(here.mailbox.reads(), 0);
}

/// A call that is given up at any of its steps loses neither a notification nor a message.
#[tokio::test]
async fn calls_that_are_given_up_lose_nothing() {
    let mut here = attached().await;
    let (node, name) = (here.node.clone(), here.client.name().clone());
    let sending = async {
        for number in 0..400_u32 {
            let message = Message::new(None, &number.to_string()).expect("a message");
            node.send(&name, &message, None).await.expect("an id");
            for _ in 0..number % 7 {
                yield_now().await;
            }
            // The reader has received all messages, and waits.
            if number % 50 == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let receiving = async {
        let mut steps = 0_usize;
        for number in 0..400 {
            let event = loop {
                // The last step takes as long as there is no notification: no poll comes in this test.
                steps = (steps + 1) % 9;
                let mut next = pin!(here.client.next());
                let mut found = None;
                for _ in 0..=steps {
                    let polled = poll_fn(|context| Poll::Ready(next.as_mut().poll(context)));
                    if let Poll::Ready(event) = polled.await {
                        found = Some(event);
                        break;
                    }
                    yield_now().await;
                }
                if let Some(event) = found {
                    break event;
                }
            };
            assert_eq!(text(event), number.to_string());
        }
    };
    let both = async { tokio::join!(sending, receiving) };
    timeout(PATIENCE, both).await.expect("all messages");
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_what_was_sent_before_the_call_although_no_notification_has_come() {
    let mut here = attached().await;
    assert_eq!(here.client.next_batch(Duration::ZERO).await, []);
    here.mailbox.is_silent.store(true, Ordering::SeqCst);
    here.send("a").await;
    let mut batch = here.client.next_batch(Duration::ZERO).await;
    assert_eq!((text(batch.pop()), batch), ("a".to_owned(), vec![]));
    // And what was sent during the wait, at its end.
    let (node, name) = (here.node.clone(), here.client.name().clone());
    let late = async {
        sleep(Duration::from_secs(5)).await;
        let message = Message::new(None, "b").expect("a message");
        node.send(&name, &message, None).await.expect("an id");
    };
    here.mailbox.reads();
    let (mut batch, ()) = tokio::join!(here.client.next_batch(Duration::from_secs(10)), late);
    assert_eq!((text(batch.pop()), batch), ("b".to_owned(), vec![]));
    assert_eq!(here.mailbox.reads(), 2, "at the beginning and at the end");
}
