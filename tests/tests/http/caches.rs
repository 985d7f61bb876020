//! What caches may keep of a response that depends on a session, with the real nginx as one of them.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use tessera::http::{Cookie, Session, SessionLayer, TokenTransport};
use tessera_tests::http_client::{Answer, Client};
use tessera_tests::servers::{Nginx, free_port};
use tokio::net::TcpListener;

use crate::fixture::{COOKIE, Fixture};

/// A page whose handler says itself how it is cached, and that it depends on something else as well.
async fn own(session: Session) -> ([(header::HeaderName, &'static str); 2], String) {
    let headers = [
        (header::CACHE_CONTROL, "public, max-age=60"),
        (header::VARY, "Accept-Encoding"),
    ];
    (headers, session.subject().unwrap().unwrap_or_default())
}

fn with_own_page(fixture: Fixture, layer: SessionLayer) -> Fixture {
    let page = Router::new().route("/own", get(own)).layer(layer);
    let app = fixture.app.clone().merge(page);
    Fixture { app, ..fixture }
}

fn all<'a>(headers: &'a axum::http::HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_response_that_looked_at_a_session_is_private_and_varies_with_every_carrier() {
    let transports = [
        TokenTransport::Cookie(Cookie::default()),
        TokenTransport::Bearer,
        TokenTransport::Header(header::HeaderName::from_static("x-login")),
    ];
    let fixture = Fixture::with(
        |sessions| sessions,
        |sessions| SessionLayer::new(sessions).transports(transports),
    );
    let token = fixture.login("alice").await;
    // Whether there is one or not, and whatever is answered.
    for (path, token) in [
        ("/get/theme", Some(token.as_str())),
        ("/get/theme", None),
        ("/maybe", None),
        ("/me", Some("nonsense")),
        ("/me", Some(&token)),
    ] {
        let answer = fixture.call("GET", path, token).await;
        assert_eq!(
            all(&answer.headers, "vary"),
            ["cookie, authorization, x-login"],
            "{path}"
        );
        let control = all(&answer.headers, "cache-control").concat();
        assert!(
            control.contains("private") || control == "no-store",
            "{path}: {control}"
        );
    }
    // An outage as well.
    fixture.fail("get", "unavailable");
    let answer = fixture.call("GET", "/me", Some(&token)).await;
    assert_eq!(
        (answer.status.as_u16(), all(&answer.headers, "vary").len()),
        (503, 1)
    );
    // And what looked at none, as before.
    let answer = fixture.call("GET", "/plain", Some(&token)).await;
    assert!(
        !answer.headers.contains_key(header::VARY) && !answer.headers.contains_key(header::CACHE_CONTROL)
    );
}

#[tokio::test]
async fn what_a_handler_says_of_caches_stands_unless_a_token_goes_out() {
    let renewing = |sessions: tessera::SessionsBuilder| {
        sessions.policy(|policy| policy.renew_interval = Some(std::time::Duration::from_secs(60)))
    };
    let fixture = Fixture::with(renewing, SessionLayer::new);
    let layer = SessionLayer::new(fixture.sessions.clone());
    let fixture = with_own_page(fixture, layer);
    let token = fixture.login("alice").await;
    let answer = fixture.call("GET", "/own", Some(&token)).await;
    assert_eq!(all(&answer.headers, "cache-control"), ["public, max-age=60"]);
    assert_eq!(all(&answer.headers, "vary"), ["Accept-Encoding", "cookie"]);
    fixture.clock.advance(std::time::Duration::from_secs(60));
    let answer = fixture.call("GET", "/own", Some(&token)).await;
    answer.token();
    assert_eq!(all(&answer.headers, "cache-control"), ["no-store"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_served_another_s_page_by_an_nginx_that_caches() {
    let fixture = Fixture::new();
    let layer = SessionLayer::new(fixture.sessions.clone());
    let fixture = with_own_page(fixture, layer);
    let (alice, bob) = (fixture.login("alice").await, fixture.login("bob").await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, fixture.app.clone()).into_future());

    let asked = tokio::task::spawn_blocking(move || {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let lines = format!(
            "proxy_cache_path cache keys_zone=pages:1m;\n\
             server {{\nlisten {address};\nproxy_cache pages;\nproxy_cache_valid any 1h;\n\
             add_header X-Cache $upstream_cache_status always;\n\
             location / {{ proxy_pass http://{behind}; }}\n}}\n"
        );
        let _nginx = Nginx::start(directory.path(), &lines, &address);
        let mut client = Client::new(&address);
        let mut ask = |path: &str, token: Option<&str>| -> Answer {
            let cookie = token.map(|token| format!("{COOKIE}={token}"));
            let headers: Vec<(&str, &str)> =
                cookie.iter().map(|cookie| ("Cookie", cookie.as_str())).collect();
            client.send("GET", path, &headers, None)
        };
        // It does cache.
        ask("/plain", None);
        assert_eq!(ask("/plain", Some(&alice)).header("x-cache"), Some("HIT"));
        for path in ["/me", "/maybe", "/own"] {
            for _ in 0..2 {
                assert_eq!(ask(path, Some(&alice)).text, "alice", "{path}");
                assert_eq!(ask(path, Some(&bob)).text, "bob", "{path}");
                let nobody = ask(path, None);
                assert!(
                    nobody.status == 401 || ["", "nobody"].contains(&nobody.text.as_str()),
                    "{path}: {nobody:?}"
                );
            }
        }
        // For each client by itself, where the handler allows it.
        assert_eq!(ask("/own", Some(&alice)).header("x-cache"), Some("HIT"));
    });
    asked.await.unwrap();
}
