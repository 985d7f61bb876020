//! The key ring, replaced while sessions are in use.

use tessera::store::MemoryStore;
use tessera::{ConfigurationError, SessionError, Sessions, SigningKey, TokenFault};
use tessera_tests::stores::NeverReady;

use super::{at_once, builder, saved};

fn key(id: &str) -> SigningKey {
    let first = id.bytes().next().expect("an id");
    SigningKey::new(id, [first; 32])
}

fn sessions(store: MemoryStore) -> Sessions {
    Sessions::builder()
        .key(key("old"))
        .instances(3)
        .build(store)
        .expect("a fit ring")
}

async fn token(sessions: &Sessions) -> String {
    let saved = sessions.create().save().await.unwrap();
    saved.token.expect("a new session has a token")
}

/// On every instance, because each thread keeps to one.
fn on_each_instance(sessions: &Sessions, token: &str, is_fit: fn(Result<(), SessionError>) -> bool) {
    for _ in 0..6 {
        let opened = std::thread::scope(|scope| {
            let opening =
                scope.spawn(|| at_once(sessions.open(token)).expect("a store that is never pending"));
            opening.join().expect("no panic")
        });
        assert!(is_fit(opened.map(drop)));
    }
}

#[tokio::test]
async fn a_new_ring_counts_on_every_instance_and_every_clone() {
    let sessions = sessions(MemoryStore::new());
    let clone = sessions.clone();
    let before = token(&sessions).await;
    on_each_instance(&sessions, &before, |opened| opened.is_ok());
    sessions.replace_keys([key("new"), key("old")]).unwrap();
    assert_eq!(clone.signing_key_id(), "new");
    let after = token(&clone).await;
    assert!(after.starts_with("ts1.new."));
    on_each_instance(&clone, &before, |opened| opened.is_ok());
    on_each_instance(&clone, &after, |opened| opened.is_ok());

    clone.replace_keys([key("new")]).unwrap();
    on_each_instance(&sessions, &before, |opened| {
        matches!(opened, Err(SessionError::InvalidToken(TokenFault::UnknownKey)))
    });
    on_each_instance(&sessions, &after, |opened| opened.is_ok());
}

#[tokio::test]
async fn a_ring_that_is_refused_changes_nothing() {
    let sessions = sessions(MemoryStore::new());
    let before = token(&sessions).await;
    for unfit in [
        vec![],
        vec![SigningKey::new("weak", [1; 31])],
        vec![key("new"), key("new")],
        vec![SigningKey::new("not an id", [1; 32])],
    ] {
        let refused = sessions.replace_keys(unfit);
        assert!(
            matches!(refused, Err(ConfigurationError::InvalidKey { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(sessions.signing_key_id(), "old");
    on_each_instance(&sessions, &before, |opened| opened.is_ok());
}

/// Its calls are repeated over this store, and the ring changes between two passes.
#[tokio::test]
async fn a_session_that_is_open_while_the_ring_changes_saves_all_the_same() {
    let sessions = builder().build(NeverReady::new(MemoryStore::new())).unwrap();
    let (session, token) = saved(&sessions).await;
    session.set("before", &1).unwrap();
    sessions
        .replace_keys([key("new"), SigningKey::new("test", [7; 32])])
        .unwrap();
    session.set("after", &2).unwrap();
    session.save().await.unwrap();
    let read = sessions.open(&token).await.unwrap();
    assert_eq!(read.get::<u32>("before").unwrap(), Some(1));
    assert_eq!(read.get::<u32>("after").unwrap(), Some(2));
}
