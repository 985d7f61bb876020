//! Delivery: order, cursors, coming back and taking over.

use tessera::connections::{Bounds, ConnectionError, EndReason, Event, Message, MessageId, Overflow};
use tokio::time::timeout;

use super::fixture::{BEAT, Fixture, PATIENCE, attach, fixture, message, next, send};

#[tokio::test]
async fn a_message_from_any_node_reaches_the_client_in_order() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let first = send(&fixture.two, &name, "0").await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    assert_eq!(message(&mut client).await, ("0".into(), first));
    for number in 1..200 {
        let node = [&fixture.one, &fixture.two][number % 2];
        let id = send(node, &name, &number.to_string()).await;
        if number % 3 == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(id.number, 1 + number as u64);
    }
    for number in 1..200 {
        assert_eq!(message(&mut client).await.0, number.to_string());
    }
}

#[tokio::test]
async fn a_client_that_comes_back_to_another_node_continues_after_its_cursor() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    send(&fixture.one, &name, "a").await;
    let (_, received) = message(&mut client).await;
    send(&fixture.one, &name, "b").await;
    drop(client);
    send(&fixture.one, &name, "c").await;
    let mut client = attach(&fixture.two, &name, received, &session).await;
    assert_eq!(message(&mut client).await.0, "b");
    assert_eq!(message(&mut client).await.0, "c");
    send(&fixture.one, &name, "d").await;
    assert_eq!(message(&mut client).await.0, "d");
}

#[tokio::test]
async fn an_attachment_ends_that_of_another_node_and_the_drop_of_that_one_changes_nothing() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut old = attach(&fixture.one, &name, MessageId::START, &session).await;
    let mut new = attach(&fixture.two, &name, MessageId::START, &session).await;
    assert_eq!(next(&mut old).await, Event::TakenOver);
    assert_eq!(old.next().await, None);
    drop(old);
    tokio::time::sleep(BEAT * 2).await;
    let found = fixture.one.get(&name).await.expect("a connection");
    assert!(found.is_attached);
    send(&fixture.one, &name, "a").await;
    assert_eq!(message(&mut new).await.0, "a");
    assert_eq!((fixture.one.attached(), fixture.two.attached()), (0, 1));
}

#[tokio::test]
async fn a_cursor_that_the_mailbox_does_not_know_is_told_as_a_gap() {
    let fixture = fixture(|builder| {
        builder.bounds(Bounds {
            maximum_messages: 3,
            replay_messages: 1,
            overflow: Overflow::DropOldest,
            ..Bounds::default()
        })
    });
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(send(&fixture.one, &name, &number.to_string()).await);
    }
    let mut client = attach(&fixture.two, &name, ids[0], &session).await;
    assert_eq!(next(&mut client).await, Event::Gap(ids[1]));
    assert_eq!(message(&mut client).await.0, "2");
}

#[tokio::test]
async fn an_end_comes_after_all_messages_and_a_client_that_comes_back_after_it_gets_nothing() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    send(&fixture.two, &name, "a").await;
    let last = send(&fixture.two, &name, "b").await;
    fixture.two.close(&name).await.expect("an end");
    assert_eq!(message(&mut client).await.0, "a");
    drop(client);
    let late = Message::new(None, "late").expect("a message");
    assert!(matches!(
        fixture.one.send(&name, &late, None).await,
        Err(ConnectionError::Ended)
    ));
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    assert_eq!(message(&mut client).await.0, "a");
    assert_eq!(message(&mut client).await.0, "b");
    assert_eq!(next(&mut client).await, Event::End(EndReason::Closed));
    let over = fixture.two.attach(&name, last, &session).await;
    assert!(matches!(over, Err(ConnectionError::Ended)));
}

#[tokio::test]
async fn a_node_that_stops_sends_its_clients_to_another_and_loses_no_message() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    fixture.one.shut_down();
    assert_eq!(next(&mut client).await, Event::TryAgain);
    drop(client);
    send(&fixture.two, &name, "a").await;
    let mut late = attach(&fixture.one, &name, MessageId::START, &session).await;
    assert_eq!(next(&mut late).await, Event::TryAgain);
    drop(late);
    timeout(PATIENCE, fixture.one.finish()).await.expect("an end");
    assert!(!fixture.two.get(&name).await.expect("a connection").is_attached);
    let mut client = attach(&fixture.two, &name, MessageId::START, &session).await;
    assert_eq!(message(&mut client).await.0, "a");
}
