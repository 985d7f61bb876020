//! Requests that another site makes a browser send.

use axum::body::Body;
use axum::http::{Request, header};
use tessera::http::{CSRF_HEADER, Cookie, CsrfLayer, OriginError, SessionLayer, TokenTransport};

use crate::fixture::{Answer, COOKIE, Fixture};

const HOST: &str = "shop.example";
const FORM: &str = "application/x-www-form-urlencoded";

fn fixture() -> Fixture {
    let transports = [TokenTransport::Bearer, TokenTransport::Cookie(Cookie::default())];
    Fixture::guarded(
        |sessions| sessions,
        |sessions| SessionLayer::new(sessions).transports(transports),
        |router| {
            router.layer(
                CsrfLayer::new()
                    .trust_origin("https://App.example:443/")
                    .unwrap()
                    .maximum_form_bytes(256),
            )
        },
    )
}

/// A session of alice in a cookie, and its CSRF token.
async fn logged_in(fixture: &Fixture) -> (String, String) {
    let token = fixture
        .sessions
        .create()
        .authenticate("alice")
        .await
        .unwrap()
        .token
        .unwrap();
    let csrf = fixture.call("GET", "/csrf", Some(&token)).await.body;
    (token, csrf)
}

async fn post(fixture: &Fixture, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let mut request = Request::post(path).header(header::HOST, HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    fixture.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_change_by_cookie_needs_the_session_s_token() {
    let fixture = fixture();
    let (token, csrf) = logged_in(&fixture).await;
    let cookie = format!("{COOKIE}={token}");
    let by_cookie = ("cookie", cookie.as_str());
    post(&fixture, "/set/a/b", &[by_cookie], String::new())
        .await
        .refused(403, "csrf-token-absent");
    let wrong = [by_cookie, (CSRF_HEADER, "wrong")];
    post(&fixture, "/set/a/b", &wrong, String::new())
        .await
        .refused(403, "invalid-csrf-token");
    assert_eq!(fixture.call("GET", "/get/a", Some(&token)).await.body, "nothing");
    let right = [by_cookie, (CSRF_HEADER, csrf.as_str())];
    assert!(
        post(&fixture, "/set/a/b", &right, String::new())
            .await
            .status
            .is_success()
    );
    assert_eq!(fixture.call("GET", "/get/a", Some(&token)).await.body, "b");
    // Another session's is none of this one's.
    let (_, others) = logged_in(&fixture).await;
    let others = [by_cookie, (CSRF_HEADER, others.as_str())];
    post(&fixture, "/set/a/c", &others, String::new())
        .await
        .refused(403, "invalid-csrf-token");
}

#[tokio::test]
async fn a_form_brings_it_in_a_field_and_reaches_the_handler_whole() {
    let fixture = fixture();
    let (token, csrf) = logged_in(&fixture).await;
    let cookie = format!("{COOKIE}={token}");
    let headers = [("cookie", cookie.as_str()), ("content-type", FORM)];
    let form = format!("name=a+b&csrf_token={csrf}");
    assert_eq!(post(&fixture, "/echo", &headers, form.clone()).await.body, form);
    post(&fixture, "/echo", &headers, "name=a".into())
        .await
        .refused(403, "csrf-token-absent");
    post(&fixture, "/echo", &headers, "csrf_token=x".into())
        .await
        .refused(403, "invalid-csrf-token");
    let filled = |length: usize| format!("{form}&pad={}", "x".repeat(length - form.len() - 5));
    assert!(
        post(&fixture, "/echo", &headers, filled(256))
            .await
            .status
            .is_success()
    );
    post(&fixture, "/echo", &headers, filled(257))
        .await
        .refused(413, "limit-exceeded");
    // What is no form is not searched.
    let json = [("cookie", cookie.as_str()), ("content-type", "application/json")];
    post(&fixture, "/echo", &json, form)
        .await
        .refused(403, "csrf-token-absent");
}

#[tokio::test]
async fn where_a_request_comes_from_is_looked_at_first() {
    let fixture = fixture();
    let (token, csrf) = logged_in(&fixture).await;
    let cookie = format!("{COOKIE}={token}");
    let from = |name: &'static str, value: &'static str| {
        let headers = [
            ("cookie", cookie.clone()),
            (CSRF_HEADER, csrf.clone()),
            (name, value.to_owned()),
        ];
        let fixture = &fixture;
        async move {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            post(fixture, "/set/a/b", &headers, String::new()).await
        }
    };
    for site in ["cross-site", "same-site", "new-word"] {
        from("sec-fetch-site", site).await.refused(403, "cross-site");
    }
    for origin in [
        "https://evil.example",
        "null",
        "shop.example",
        "https://shop.example.evil",
        "https://shop.example:444",
        "https://app.example/path",
        "http://app.example",
    ] {
        from("origin", origin).await.refused(403, "cross-site");
    }
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", "https://shop.example"),
        ("origin", "https://app.example"),
    ] {
        assert!(from(name, value).await.status.is_success(), "{name}: {value}");
    }
}

#[tokio::test]
async fn the_port_that_a_scheme_has_anyway_makes_no_other_origin() {
    let fixture = fixture();
    for (host, origin, is_own) in [
        ("shop.example:443", "https://shop.example", true),
        ("shop.example:80", "http://shop.example", true),
        ("Shop.example", "https://shop.example:443", true),
        ("shop.example:8443", "https://shop.example:8443", true),
        ("shop.example:8443", "https://shop.example", false),
        ("shop.example:444", "https://shop.example", false),
        ("anywhere:1234", "https://app.example", true),
    ] {
        let request = Request::post("/set/a/b").header(header::HOST, host);
        let request = request.header(header::ORIGIN, origin);
        let answer = fixture.send(request.body(Body::empty()).unwrap()).await;
        if is_own {
            assert!(answer.status.is_success(), "{host} {origin}: {answer:?}");
        } else {
            answer.refused(403, "cross-site");
        }
    }
}

#[test]
fn an_origin_that_no_browser_sends_is_refused_when_it_is_named() {
    for (origin, error) in [
        ("app.example", OriginError::Scheme),
        ("null", OriginError::Scheme),
        ("https://app.example/path", OriginError::Rest),
        ("https://*.example", OriginError::Host),
        ("https://app.example:99999", OriginError::Port),
    ] {
        let refused = CsrfLayer::new().trust_origin(origin).map(drop);
        assert_eq!(refused, Err(error), "{origin}");
    }
}

#[tokio::test]
async fn a_multipart_form_is_told_that_it_needs_the_header() {
    let fixture = fixture();
    let (token, csrf) = logged_in(&fixture).await;
    let cookie = format!("{COOKIE}={token}");
    let kind = "multipart/form-data; boundary=b";
    let body =
        format!("--b\r\nContent-Disposition: form-data; name=\"csrf_token\"\r\n\r\n{csrf}\r\n--b--\r\n");
    let headers = [("cookie", cookie.as_str()), ("content-type", kind)];
    let refused = post(&fixture, "/echo", &headers, body.clone()).await;
    refused.refused(403, "csrf-token-absent");
    assert!(refused.body.contains("multipart/form-data"), "{refused:?}");
    let headers = [headers[0], headers[1], (CSRF_HEADER, &csrf)];
    assert_eq!(post(&fixture, "/echo", &headers, body.clone()).await.body, body);
}

#[tokio::test]
async fn a_login_from_another_site_is_refused_although_there_is_no_session_yet() {
    let fixture = fixture();
    let headers = [("sec-fetch-site", "cross-site")];
    // There is nothing to forge yet, so a page for a visitor needs no token.
    assert_eq!(fixture.call("GET", "/csrf", None).await.body, "");
    post(&fixture, "/login/mallory", &headers, String::new())
        .await
        .refused(403, "cross-site");
    assert!(
        post(&fixture, "/login/alice", &[], String::new())
            .await
            .status
            .is_success()
    );
}

#[tokio::test]
async fn what_no_browser_adds_by_itself_needs_no_token_and_reading_neither() {
    let fixture = fixture();
    let (token, _) = logged_in(&fixture).await;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    assert!(
        post(&fixture, "/set/a/b", &headers, String::new())
            .await
            .status
            .is_success()
    );
    assert_eq!(fixture.call("GET", "/get/a", Some(&token)).await.body, "b");
}

#[tokio::test]
async fn an_outage_is_told_before_the_handler_runs() {
    let fixture = fixture();
    let (token, csrf) = logged_in(&fixture).await;
    let cookie = format!("{COOKIE}={token}");
    fixture.fail("get", "unavailable");
    let headers = [("cookie", cookie.as_str()), (CSRF_HEADER, csrf.as_str())];
    post(&fixture, "/set/a/b", &headers, String::new())
        .await
        .refused(503, "unavailable");
}
