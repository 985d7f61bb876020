//! Lists of connections.

use tessera::connections::{MessageId, Registration, Request};

use super::fixture::{Fixture, attach, eventually};

#[tokio::test]
async fn lists_select_by_session_subject_prefix_and_kind() {
    let fixture = Fixture::plain();
    let (alice, _) = fixture.login("alice").await;
    let (alice_too, _) = fixture.login("alice").await;
    let (bob, _) = fixture.login("bob").await;
    let mut names = Vec::new();
    for (session, prefix, kind) in [
        (&alice, "/mcp/a", "sse"),
        (&alice_too, "/mcp/b", "websocket"),
        (&bob, "/mcp/a/deep", "sse"),
    ] {
        let registration = Registration {
            prefix: prefix.into(),
            kind: kind.into(),
            request: Request {
                headers: vec![("user-agent".into(), "test".into())],
                ..Request::default()
            },
        };
        names.push(
            fixture
                .one
                .register(session, registration)
                .await
                .expect("a connection"),
        );
    }
    let _client = attach(&fixture.two, &names[0], MessageId::START, &alice).await;
    let public_id = alice.details().expect("details").public_id;
    let of_session = fixture.two.of_session(&public_id).await.expect("a list");
    assert_eq!(of_session.len(), 1);
    assert_eq!(of_session[0].name, names[0]);
    assert_eq!(of_session[0].head.request.headers[0].1, "test");
    eventually("the node shows that it lives", async || {
        fixture
            .one
            .get(&names[0])
            .await
            .expect("a connection")
            .is_attached
    })
    .await;
    assert!(
        !fixture
            .one
            .get(&names[1])
            .await
            .expect("a connection")
            .is_attached
    );
    let (of_subject, next) = fixture.one.of_subject("alice", None).await.expect("a list");
    let mut found: Vec<_> = of_subject.into_iter().map(|connection| connection.name).collect();
    found.sort();
    let mut wanted = vec![names[0].clone(), names[1].clone()];
    wanted.sort();
    assert_eq!((found, next), (wanted, None));
    for (prefix, kind, wanted) in [
        ("", "", vec![0, 1, 2]),
        ("/mcp/a", "", vec![0, 2]),
        ("/mcp/", "websocket", vec![1]),
        ("/other", "", vec![]),
    ] {
        let (walked, next) = fixture.two.walk(prefix, kind, "", 100).await.expect("a walk");
        let mut found: Vec<_> = walked.into_iter().map(|connection| connection.name).collect();
        found.sort();
        let mut wanted: Vec<_> = wanted.into_iter().map(|at: usize| names[at].clone()).collect();
        wanted.sort();
        assert_eq!((found, next), (wanted, None), "{prefix} {kind}");
    }
}
