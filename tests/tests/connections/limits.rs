//! The limits of a session and of a node, and invalid settings.

use std::time::Duration;

use tessera::connections::{
    Bounds, ConnectionError, Connections, ConnectionsBuilder, MemoryMailbox, Message, MessageId, Registration,
};

use super::fixture::{BEAT, Fixture, attach, eventually, fixture};

#[tokio::test]
async fn a_session_has_at_most_so_many_connections_and_those_that_were_closed_do_not_count() {
    let fixture = fixture(|builder| builder.per_session(2));
    let (session, _) = fixture.login("alice").await;
    let names = [
        fixture.registered(&session).await,
        fixture.registered(&session).await,
    ];
    // The order of registrations has a resolution of a millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let refused = fixture.two.register(&session, Registration::default()).await;
    assert!(matches!(refused, Err(ConnectionError::TooManyOfSession)));
    let (other, _) = fixture.login("alice").await;
    fixture.registered(&other).await;
    fixture.two.close(&names[0]).await.expect("an end");
    fixture.registered(&session).await;
}

#[tokio::test]
async fn a_further_connection_replaces_the_oldest_one_without_a_client() {
    // A node counts as dead after three beats.
    let fixture = fixture(|builder| {
        let builder = builder.beat(Duration::from_secs(1));
        builder.per_session(2).detached_for(Duration::from_secs(4))
    });
    let (session, _) = fixture.login("alice").await;
    let open = async || fixture.one.open(&session, Registration::default()).await;
    let left = open().await.expect("a connection");
    let name = left.name().clone();
    let _stays = open().await.expect("a connection");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(matches!(open().await, Err(ConnectionError::TooManyOfSession)));
    drop(left);
    eventually("the client is detached", async || {
        let found = fixture.one.get(&name).await;
        found.is_ok_and(|found| !found.is_attached)
    })
    .await;
    let _new = open().await.expect("a connection");
    let sent = fixture
        .two
        .send(&name, &Message::new(None, "x").expect("a message"), None)
        .await;
    assert!(matches!(sent, Err(ConnectionError::Ended)));
    // Each has a client. The order of registrations has a resolution of a millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert!(matches!(open().await, Err(ConnectionError::TooManyOfSession)));
}

#[tokio::test]
async fn the_clients_of_a_killed_process_do_not_lock_their_session_out() {
    let fixture = fixture(|builder| builder.per_session(1).detached_for(Duration::from_secs(4)));
    let (session, token) = fixture.login("alice").await;
    let (sessions, mailbox) = (fixture.sessions.clone(), fixture.mailbox.clone());
    let killed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let builder = Connections::builder(&sessions).beat(BEAT).per_session(1);
            let node = builder.build(mailbox).expect("a node");
            let session = sessions.open(&token).await.expect("a session");
            let client = node.open(&session, Registration::default()).await;
            // Its drop would detach the client.
            std::mem::forget(client.expect("a connection"));
        });
        runtime.shutdown_background();
    });
    killed.join().expect("a killed process");
    // The order of registrations has a resolution of a millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let open = async || fixture.two.open(&session, Registration::default()).await;
    assert!(matches!(open().await, Err(ConnectionError::TooManyOfSession)));
    tokio::time::sleep(Duration::from_millis(600)).await;
    open().await.expect("a connection");
}

#[tokio::test]
async fn a_node_has_at_most_so_many_clients() {
    let fixture = fixture(|builder| builder.on_node(1));
    let (session, _) = fixture.login("alice").await;
    let names = [
        fixture.registered(&session).await,
        fixture.registered(&session).await,
    ];
    let first = attach(&fixture.one, &names[0], MessageId::START, &session).await;
    let refused = fixture.one.attach(&names[1], MessageId::START, &session).await;
    assert!(matches!(refused, Err(ConnectionError::TooManyOnNode)));
    let _elsewhere = attach(&fixture.two, &names[1], MessageId::START, &session).await;
    drop(first);
    let _again = attach(&fixture.one, &names[0], MessageId::START, &session).await;
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let fixture = Fixture::plain();
        let build = |change: fn(ConnectionsBuilder) -> ConnectionsBuilder| {
            let builder = Connections::builder(&fixture.sessions);
            change(builder)
                .build(MemoryMailbox::new())
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let long = |field: &str, result: Result<(), String>| {
            let refused = result.expect_err(field);
            assert!(refused.contains(field), "{refused}");
        };
        long(
            "bounds",
            build(|builder| {
                builder.bounds(Bounds {
                    maximum_messages: 0,
                    ..Bounds::default()
                })
            }),
        );
        long("lease", build(|builder| builder.lease(Duration::from_secs(1))));
        long("beat", build(|builder| builder.beat(Duration::ZERO)));
        long(
            "sign-of-life",
            build(|builder| builder.sign_of_life(Duration::ZERO)),
        );
        long(
            "lifetime",
            build(|builder| builder.lifetime(Duration::from_millis(999))),
        );
        long("sessions-per-subject", build(|builder| builder.per_session(0)));
        long("sessions-per-subject", build(|builder| builder.per_session(101)));
        assert_eq!(build(|builder| builder.per_session(100)), Ok(()));
    });
}
