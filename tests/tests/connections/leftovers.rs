//! What clients leave that are not attached, give up or do not come back: nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tessera::connections::{ConnectionError, EndReason, Event, Message, MessageId, Registration};
use tokio::time::timeout;

use super::fixture::{attach, eventually, fixture, next};

#[tokio::test]
async fn a_client_that_cannot_be_attached_leaves_no_connection() {
    let fixture = fixture(|builder| builder.on_node(1));
    let (session, _) = fixture.login("alice").await;
    let _first = fixture.one.open(&session, Registration::default()).await;
    for _ in 0..40 {
        let refused = fixture.one.open(&session, Registration::default()).await;
        assert!(matches!(refused, Err(ConnectionError::TooManyOnNode)));
    }
    let public_id = session.details().expect("details").public_id;
    let of_session = fixture.two.of_session(&public_id).await.expect("a list");
    assert_eq!(of_session.len(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_come_back_leaves_neither_mailbox_nor_entry() {
    let fixture = fixture(|builder| builder.detached_for(Duration::from_millis(200)).per_session(1));
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let public_id = session.details().expect("details").public_id;
    let client = attach(&fixture.one, &name, MessageId::START, &session).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fixture.two.of_session(&public_id).await.expect("a list").len(), 1);
    drop(client);
    eventually("the mailbox is gone", async || {
        fixture
            .two
            .of_session(&public_id)
            .await
            .expect("a list")
            .is_empty()
    })
    .await;
    let message = Message::new(None, "x").expect("a message");
    let sent = fixture.two.send(&name, &message, None).await;
    assert!(matches!(sent, Err(ConnectionError::Missing)));
    eventually("the entry is gone", async || {
        fixture
            .one
            .register(&session, Registration::default())
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_connection_at_the_end_of_its_life_leaves_no_entry() {
    let fixture = fixture(|builder| {
        let builder = builder.detached_for(Duration::from_millis(200));
        builder.lifetime(Duration::from_secs(1))
    });
    let (session, _) = fixture.login("alice").await;
    let before = fixture.store.len();
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    assert!(fixture.store.len() > before);
    assert_eq!(next(&mut client).await, Event::End(EndReason::Expired));
    drop(client);
    eventually("the entry is gone", async || fixture.store.len() == before).await;
}

#[tokio::test]
async fn a_client_that_gives_up_while_it_opens_a_connection_leaves_no_entry() {
    let fixture = fixture(|builder| {
        let builder = builder.detached_for(Duration::from_millis(200));
        builder.per_session(100)
    });
    let (session, _) = fixture.login("alice").await;
    let before = fixture.store.len();
    fixture.is_slow.store(true, Ordering::SeqCst);
    for wait in (5..200).step_by(10) {
        let opening = fixture.one.open(&session, Registration::default());
        let _ = timeout(Duration::from_millis(wait), opening).await;
    }
    fixture.is_slow.store(false, Ordering::SeqCst);
    assert!(fixture.store.len() > before);
    eventually("the entries are gone", async || fixture.store.len() == before).await;
}

#[tokio::test]
async fn an_entry_that_could_not_be_removed_is_removed_later() {
    let fixture = fixture(|builder| builder.detached_for(Duration::from_millis(200)));
    let (session, _) = fixture.login("alice").await;
    let before = fixture.store.len();
    let name = fixture.registered(&session).await;
    let entered = fixture.store.len();
    assert!(entered > before);
    fixture.is_down.store(true, Ordering::SeqCst);
    // A second after its mailbox is gone, the node tries to remove the entry.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(matches!(
        fixture.one.get(&name).await,
        Err(ConnectionError::Missing)
    ));
    assert_eq!(fixture.store.len(), entered);
    fixture.is_down.store(false, Ordering::SeqCst);
    eventually("the entry is gone", async || fixture.store.len() == before).await;
}
