//! Batches of events, as polls take them.

use std::time::{Duration, Instant};

use tessera::connections::{
    Attachment, Bounds, ConnectionError, EndReason, Event, MemoryMailbox, Message, MessageId,
};

use super::fixture::{PATIENCE, attach, fixture, send};

const NONE: Duration = Duration::ZERO;

/// The texts of the messages of a batch, and the id of the last one.
async fn batch(client: &mut Attachment<MemoryMailbox>, wait: Duration) -> (Vec<String>, Option<MessageId>) {
    let (mut texts, mut last) = (Vec::new(), None);
    for event in client.next_batch(wait).await {
        let Event::Message(entry) = event else {
            panic!("{event:?}");
        };
        last = Some(entry.id);
        texts.push(entry.message.data().to_owned());
    }
    (texts, last)
}

#[tokio::test]
async fn a_message_of_a_batch_counts_as_received_when_the_client_comes_back_after_it() {
    let here = fixture(|builder| {
        builder.bounds(Bounds {
            maximum_messages: 2,
            replay_messages: 1,
            ..Bounds::default()
        })
    });
    let (session, _) = here.login("alice").await;
    let name = here.registered(&session).await;
    send(&here.one, &name, "a").await;
    send(&here.two, &name, "b").await;
    let message = Message::new(None, "c").expect("a message");
    // The answer is lost, and then it is not.
    let mut last = None;
    for node in [&here.one, &here.two] {
        let mut client = attach(node, &name, MessageId::START, &session).await;
        let (texts, id) = batch(&mut client, PATIENCE).await;
        assert_eq!(texts, ["a", "b"]);
        last = id;
        drop(client);
        let refused = here.one.send(&name, &message, None).await;
        assert!(matches!(refused, Err(ConnectionError::Full)), "{refused:?}");
    }
    let mut client = attach(&here.one, &name, last.expect("an id"), &session).await;
    assert_eq!(batch(&mut client, NONE).await.0, [""; 0]);
    send(&here.two, &name, "c").await;
    assert_eq!(batch(&mut client, PATIENCE).await.0, ["c"]);
}

#[tokio::test]
async fn a_batch_is_empty_after_the_wait_and_after_the_end() {
    let here = fixture(|builder| builder);
    let (session, _) = here.login("alice").await;
    let name = here.registered(&session).await;
    let mut client = attach(&here.one, &name, MessageId::START, &session).await;
    let (began, wait) = (Instant::now(), Duration::from_millis(50));
    assert_eq!(client.next_batch(wait).await, []);
    assert!(began.elapsed() >= wait);
    here.two.close(&name).await.expect("an end");
    assert_eq!(client.next_batch(PATIENCE).await, [Event::End(EndReason::Closed)]);
    assert_eq!(client.next_batch(PATIENCE).await, []);
}

#[tokio::test]
async fn a_batch_that_is_waited_for_ends_with_its_session_and_with_its_node() {
    let here = fixture(|builder| builder);
    let (session, _) = here.login("alice").await;
    let name = here.registered(&session).await;
    let mut client = attach(&here.one, &name, MessageId::START, &session).await;
    let (events, ()) = tokio::join!(client.next_batch(PATIENCE), async { here.one.shut_down() });
    assert_eq!(events, [Event::TryAgain]);
    drop(client);
    let mut client = attach(&here.two, &name, MessageId::START, &session).await;
    let (events, destroyed) = tokio::join!(client.next_batch(PATIENCE), session.destroy());
    destroyed.expect("a logout");
    assert_eq!(events, [Event::End(EndReason::SessionOver)]);
}
