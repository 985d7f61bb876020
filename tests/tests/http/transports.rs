//! What brings a token, and what takes a new one back.

use axum::body::Body;
use axum::http::{HeaderName, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tessera::http::{Cookie, SessionLayer, TOKEN_HEADER, TokenTransport};

use crate::fixture::{Answer, COOKIE, Fixture, forged};

const OWN: HeaderName = HeaderName::from_static("x-login");

fn fixture() -> Fixture {
    let transports = [
        TokenTransport::Header(OWN),
        TokenTransport::Bearer,
        TokenTransport::Cookie(Cookie::default()),
    ];
    Fixture::with(
        |sessions| sessions,
        |sessions| SessionLayer::new(sessions).transports(transports),
    )
}

async fn call(fixture: &Fixture, method: &str, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    fixture.send(request.body(Body::empty()).unwrap()).await
}

fn header_of<'a>(answer: &'a Answer, name: &HeaderName) -> &'a str {
    answer.headers[name].to_str().unwrap()
}

#[tokio::test]
async fn a_token_goes_back_in_what_it_came_in() {
    let fixture = fixture();
    let first = call(&fixture, "POST", "/login/alice", &[]).await;
    // The first of all, where none came.
    let alice = header_of(&first, &OWN).to_owned();
    assert_eq!(first.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(first.headers[header::VARY], "x-login, authorization, cookie");

    let bearer = format!("Bearer {alice}");
    let answer = call(
        &fixture,
        "POST",
        "/login/bob",
        &[(header::AUTHORIZATION, &bearer)],
    )
    .await;
    let bob = header_of(&answer, &TOKEN_HEADER).to_owned();
    assert!(answer.cookies().is_empty() && !answer.headers.contains_key(&OWN));

    let cookie = format!("{COOKIE}={bob}");
    let answer = call(&fixture, "POST", "/login/carol", &[(header::COOKIE, &cookie)]).await;
    assert_eq!(answer.cookies().len(), 1);
    assert!(!answer.headers.contains_key(&TOKEN_HEADER));
}

#[tokio::test]
async fn the_first_carrier_that_brings_something_counts() {
    let fixture = fixture();
    let mut tokens = Vec::new();
    for subject in ["alice", "bob", "carol"] {
        let answer = call(&fixture, "POST", &format!("/login/{subject}"), &[]).await;
        tokens.push(header_of(&answer, &OWN).to_owned());
    }
    let (bearer, cookie) = (
        format!("bearer {}", tokens[1]),
        format!("a=b; {COOKIE}={}; c=d", tokens[2]),
    );
    let all = [
        (OWN, tokens[0].as_str()),
        (header::AUTHORIZATION, &bearer),
        (header::COOKIE, &cookie),
    ];
    assert_eq!(call(&fixture, "GET", "/me", &all).await.body, "alice");
    assert_eq!(call(&fixture, "GET", "/me", &all[1..]).await.body, "bob");
    assert_eq!(call(&fixture, "GET", "/me", &all[2..]).await.body, "carol");
    // One of ours that is no good is not made up for by the next: the client does not mean that one.
    for (bad, code) in [
        (forged(&tokens[0]), "token-mac-wrong"),
        ("ts1.k".to_owned(), "token-malformed"),
        (jwt("tessera+jwt"), "token-malformed"),
    ] {
        let bad = [(OWN, bad.as_str()), all[1].clone()];
        call(&fixture, "GET", "/me", &bad).await.refused(401, code);
    }
}

/// A JWT with this type in its header, as others make them.
fn jwt(kind: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"{kind}","kid":"k"}}"#));
    format!(
        "{header}.{}.c2lnbmF0dXJl",
        URL_SAFE_NO_PAD.encode(r#"{"sub":"mallory"}"#)
    )
}

#[tokio::test]
async fn the_credentials_of_another_system_fall_through_to_the_next_carrier() {
    let fixture = fixture();
    let first = call(&fixture, "POST", "/login/alice", &[]).await;
    let cookie = format!("{COOKIE}={}", header_of(&first, &OWN));
    let cookie = (header::COOKIE, cookie.as_str());
    let theirs = format!("Bearer {}", jwt("JWT"));
    for (name, value, alone) in [
        (header::AUTHORIZATION, theirs.as_str(), "token-malformed"),
        (header::AUTHORIZATION, "Bearer null", "token-malformed"),
        (header::AUTHORIZATION, "Bearer undefined", "token-malformed"),
        (header::AUTHORIZATION, "Bearer", "token-malformed"),
        (
            header::AUTHORIZATION,
            r#"Digest username="alice", response="0123""#,
            "token-absent",
        ),
        (header::AUTHORIZATION, "Basic YTpi", "token-absent"),
        (OWN, "", "token-malformed"),
        (OWN, "0123456789abcdef", "token-malformed"),
    ] {
        let both = [(name.clone(), value), cookie.clone()];
        assert_eq!(call(&fixture, "GET", "/me", &both).await.body, "alice", "{value}");
        let alone = (
            alone,
            call(&fixture, "GET", "/me", &[(name.clone(), value)]).await,
        );
        alone.1.refused(401, alone.0);
        // Twice is as good as once.
        let twice = [(name.clone(), value), (name, value), cookie.clone()];
        assert_eq!(
            call(&fixture, "GET", "/me", &twice).await.body,
            "alice",
            "{value}"
        );
    }
    // Nor do they say how a new token is to travel.
    let login = call(
        &fixture,
        "POST",
        "/login/bob",
        &[(header::AUTHORIZATION, &theirs)],
    )
    .await;
    assert!(login.headers.contains_key(&OWN) && !login.headers.contains_key(&TOKEN_HEADER));
}

#[tokio::test]
async fn what_stands_twice_or_is_no_text_opens_nothing() {
    let fixture = fixture();
    let answer = call(&fixture, "POST", "/login/alice", &[]).await;
    let token = header_of(&answer, &OWN).to_owned();
    let twice = [(OWN, token.as_str()), (OWN, token.as_str())];
    call(&fixture, "GET", "/me", &twice)
        .await
        .refused(401, "token-malformed");
    call(&fixture, "GET", "/me", &[(header::AUTHORIZATION, "Bearer")])
        .await
        .refused(401, "token-malformed");
    call(&fixture, "GET", "/me", &[(OWN, "")])
        .await
        .refused(401, "token-malformed");
    // A sibling domain can plant a cookie beside the real one.
    let other = call(&fixture, "POST", "/login/mallory", &[]).await;
    let planted = format!("{COOKIE}={}; {COOKIE}={token}", header_of(&other, &OWN));
    call(&fixture, "GET", "/me", &[(header::COOKIE, &planted)])
        .await
        .refused(401, "token-ambiguous");
    let same = format!("{COOKIE}={token}; {COOKIE}={token}");
    assert_eq!(
        call(&fixture, "GET", "/me", &[(header::COOKIE, &same)])
            .await
            .body,
        "alice"
    );
    let bytes = Request::get("/arrival").header(OWN, axum::http::HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(
        fixture.send(bytes.body(Body::empty()).unwrap()).await.body,
        "token-malformed"
    );
}

#[tokio::test]
async fn a_token_in_the_url_is_not_looked_at() {
    let fixture = fixture();
    let answer = call(&fixture, "POST", "/login/alice", &[]).await;
    let token = header_of(&answer, &OWN).to_owned();
    for path in [
        format!("/arrival?{COOKIE}={token}"),
        format!("/arrival?access_token={token}&x-login={token}"),
    ] {
        assert_eq!(call(&fixture, "GET", &path, &[]).await.body, "absent");
    }
}

#[tokio::test]
async fn tokens_that_are_handed_out_are_marked_as_secret() {
    let fixture = fixture();
    let first = call(&fixture, "POST", "/login/alice", &[]).await;
    assert!(first.headers[&OWN].is_sensitive());
    assert!(!format!("{first:?}").contains(header_of(&first, &OWN)));
    let cookie = Fixture::new().call("POST", "/login/alice", None).await;
    assert!(cookie.headers[header::SET_COOKIE].is_sensitive());
}

#[tokio::test]
async fn a_cookie_of_others_beside_ours_may_hold_any_bytes() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    let line = [
        b"name=Zo\xeb; ",
        COOKIE.as_bytes(),
        b"=",
        token.as_bytes(),
        b"; x",
    ]
    .concat();
    let line = axum::http::HeaderValue::from_bytes(&line).unwrap();
    let request = Request::get("/me").header(header::COOKIE, line);
    assert_eq!(
        fixture.send(request.body(Body::empty()).unwrap()).await.body,
        "alice"
    );
    // Ours may not.
    let line = axum::http::HeaderValue::from_bytes(&[COOKIE.as_bytes(), b"=Zo\xeb"].concat()).unwrap();
    let request = Request::get("/arrival").header(header::COOKIE, line);
    assert_eq!(
        fixture.send(request.body(Body::empty()).unwrap()).await.body,
        "token-malformed"
    );
}
