//! A connection and its session: only its client attaches, and it ends with it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tessera::SessionError;
use tessera::connections::{ConnectionError, EndReason, Event, Message, MessageId, Registration};

use super::fixture::{BEAT, Fixture, attach, eventually, fixture, message, next, send};

#[tokio::test]
async fn sockets_on_both_nodes_close_when_their_session_ends_and_receive_nothing_more() {
    for how in ["logout", "revoked", "replaced", "revoked all"] {
        let fixture = Fixture::plain();
        let (session, token) = fixture.login("alice").await;
        let other = fixture.login("alice").await.0;
        let opened = fixture.sessions.open(&token).await.expect("a session");
        let names = [
            fixture.registered(&session).await,
            fixture.registered(&session).await,
        ];
        let mut clients = [
            attach(&fixture.one, &names[0], MessageId::START, &opened).await,
            attach(&fixture.two, &names[1], MessageId::START, &opened).await,
        ];
        let other_name = fixture.registered(&other).await;
        let mut other_client = attach(&fixture.one, &other_name, MessageId::START, &other).await;
        match how {
            "logout" => session.destroy().await.expect("a logout"),
            "replaced" => drop(session.authenticate("alice").await.expect("a login")),
            "revoked" => {
                let public_id = session.details().expect("details").public_id;
                let revoked = fixture.sessions.revoke("alice", &public_id).await;
                assert!(revoked.expect("a revocation"));
            }
            _ => drop(
                fixture
                    .sessions
                    .revoke_others(&other)
                    .await
                    .expect("a revocation"),
            ),
        }
        for client in &mut clients {
            let over = async {
                // Messages that were sent before the end was noticed may still arrive.
                loop {
                    match next(client).await {
                        Event::Message(_) => {}
                        event => return event,
                    }
                }
            };
            assert_eq!(over.await, Event::End(EndReason::SessionOver), "{how}");
            assert_eq!(client.next().await, None);
        }
        for name in &names {
            eventually("the connection has ended", async || {
                let message = Message::new(None, "late").expect("a message");
                matches!(
                    fixture.two.send(name, &message, None).await,
                    Err(ConnectionError::Ended)
                )
            })
            .await;
        }
        send(&fixture.two, &other_name, "still here").await;
        assert_eq!(message(&mut other_client).await.0, "still here", "{how}");
    }
}

#[tokio::test]
async fn a_short_outage_of_the_store_closes_no_stream_and_a_long_one_sends_the_client_away() {
    let fixture = fixture(|builder| builder.unjudged_for(Duration::from_millis(300)));
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    tokio::time::sleep(BEAT * 2).await;
    fixture.is_down.store(true, Ordering::SeqCst);
    tokio::time::sleep(BEAT * 3).await;
    send(&fixture.two, &name, "during an outage").await;
    assert_eq!(message(&mut client).await.0, "during an outage");
    fixture.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(BEAT * 3).await;
    fixture.is_down.store(true, Ordering::SeqCst);
    let began = Instant::now();
    assert_eq!(next(&mut client).await, Event::TryAgain);
    assert!(
        began.elapsed() >= Duration::from_millis(290),
        "the outage before it does not count"
    );
    drop(client);
    fixture.is_down.store(false, Ordering::SeqCst);
    let mut client = attach(&fixture.two, &name, MessageId::START, &session).await;
    assert_eq!(message(&mut client).await.0, "during an outage");
}

#[tokio::test]
async fn a_renewed_token_or_a_touch_ends_no_connection() {
    let fixture = Fixture::plain();
    let (session, token) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let opened = fixture.sessions.open(&token).await.expect("a session");
    let mut client = attach(&fixture.one, &name, MessageId::START, &opened).await;
    session.set("a", &1).expect("a field");
    let renewed = session
        .rotate()
        .await
        .expect("a rotation")
        .token
        .expect("a token");
    let session = fixture.sessions.open(&renewed).await.expect("a session");
    session.touch().await.expect("a touch");
    tokio::time::sleep(BEAT * 5).await;
    send(&fixture.two, &name, "a").await;
    assert_eq!(message(&mut client).await.0, "a");
}

#[tokio::test]
async fn a_connection_of_another_session_is_missing() {
    let fixture = Fixture::plain();
    let (alice, _) = fixture.login("alice").await;
    let (mallory, _) = fixture.login("alice").await;
    let name = fixture.registered(&alice).await;
    let stolen = fixture.two.attach(&name, MessageId::START, &mallory).await;
    assert!(matches!(stolen, Err(ConnectionError::Missing)));
    let nothing = fixture
        .two
        .attach(
            &"C3yW7lRQWRB3orhnW1JzVg".parse().expect("a name"),
            MessageId::START,
            &alice,
        )
        .await;
    assert!(matches!(nothing, Err(ConnectionError::Missing)));
    assert_eq!(fixture.two.attached(), 0);
}

#[tokio::test]
async fn a_session_that_was_never_saved_or_has_ended_registers_nothing() {
    let fixture = Fixture::plain();
    let draft = fixture.sessions.create();
    let refused = fixture.one.register(&draft, Registration::default()).await;
    assert!(matches!(
        refused,
        Err(ConnectionError::Session(SessionError::Draft))
    ));
    let (session, _) = fixture.login("alice").await;
    session.destroy().await.expect("a logout");
    let refused = fixture.one.register(&session, Registration::default()).await;
    assert!(matches!(
        refused,
        Err(ConnectionError::Session(SessionError::Closed))
    ));
}

#[tokio::test]
async fn all_connections_of_a_session_end_by_one_call_without_a_beat() {
    let fixture = fixture(|builder| builder.beat(Duration::from_secs(3600)));
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.two, &name, MessageId::START, &session).await;
    let public_id = session.details().expect("details").public_id;
    assert_eq!(fixture.one.close_session(&public_id).await.expect("an end"), 1);
    assert_eq!(next(&mut client).await, Event::End(EndReason::SessionOver));
    assert_eq!(fixture.one.close_session(&public_id).await.expect("an end"), 0);
}

#[tokio::test]
async fn a_connection_ends_at_the_end_of_its_life_although_its_session_lives() {
    let fixture = fixture(|builder| builder.lifetime(Duration::from_secs(1)));
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    send(&fixture.two, &name, "a").await;
    assert_eq!(message(&mut client).await.0, "a");
    assert_eq!(next(&mut client).await, Event::End(EndReason::Expired));
    session.standing().await.expect("a session");
}

#[tokio::test]
async fn a_connection_that_is_away_during_a_login_is_missing_afterwards_also_for_the_same_subject() {
    for subject in ["bob", "alice"] {
        let fixture = Fixture::plain();
        let (session, token) = fixture.login("alice").await;
        let name = fixture.registered(&session).await;
        let opened = fixture.sessions.open(&token).await.expect("a session");
        drop(attach(&fixture.one, &name, MessageId::START, &opened).await);
        send(&fixture.one, &name, "for alice").await;
        // The clock has moved on, as between two logins of people.
        tokio::time::sleep(Duration::from_millis(2)).await;
        session.authenticate(subject).await.expect("a login");
        for node in [&fixture.one, &fixture.two] {
            let attached = node.attach(&name, MessageId::START, &session).await;
            assert!(matches!(attached, Err(ConnectionError::Missing)), "{subject}");
        }
    }
}
