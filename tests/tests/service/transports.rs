//! Where tokens may stand in requests to `/v1` and `/auth`, as the operator says.

use crate::client::Answer;
use crate::server::{Server, run};
use crate::{forged, place, serve};

fn ask(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.client().send("GET", path, headers, None)
}

#[test]
fn the_credentials_of_another_system_hide_no_session() {
    let (_directory, server) = serve(&[]);
    let token = server.client().create(&server.service_key(), Some("alice"));
    let cookie = format!("__Host-tessera={token}");
    // {"alg":"RS256","typ":"JWT"}
    let jwt = "Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln";
    for path in ["/v1/session", "/auth"] {
        for theirs in [jwt, "Bearer null", "Digest username=\"alice\"", "Basic YTpi"] {
            let headers = [("Authorization", theirs), ("Cookie", cookie.as_str())];
            assert_eq!(ask(&server, path, &headers).status, 200, "{path} {theirs}");
        }
        // One of ours that is bad is the client's own.
        let bad = format!("Bearer {}", forged(&token));
        let headers = [("Authorization", bad.as_str()), ("Cookie", cookie.as_str())];
        ask(&server, path, &headers).refused(401, "token-mac-wrong");
        ask(&server, path, &[("Authorization", "Bearer null")]).refused(401, "token-malformed");
        // A page of another site makes a browser send both; it changes nothing.
        let headers = [
            ("Authorization", "Basic YTpi"),
            ("Cookie", cookie.as_str()),
            ("Sec-Fetch-Site", "cross-site"),
        ];
        if path == "/v1/session" {
            let mut client = server.client();
            client
                .send("DELETE", path, &headers, None)
                .refused(403, "cross-site");
        }
        // Two cookies of one name have one code at every route.
        let other = server.client().create(&server.service_key(), Some("bob"));
        let two = format!("tessera={token}; tessera={other}");
        ask(&server, path, &[("Cookie", &two)]).refused(401, "token-ambiguous");
    }
    server.stop();
}

#[test]
fn tokens_are_taken_from_the_transports_that_the_operator_names_and_no_other() {
    let flags = [
        "--transport",
        "cookie:sid,bearer",
        "--auth-transport",
        "header:X-Login",
        "--auth-transport",
        "cookie:sid",
    ];
    let (_directory, server) = serve(&flags);
    let token = server.client().create(&server.service_key(), Some("alice"));
    let stale = server.client().create(&server.service_key(), Some("bob"));
    server.client().call("DELETE", "/v1/session", &stale, None);
    let bearer = format!("Bearer {token}");
    let sid = format!("sid={token}");
    // What stands in a transport that is not named is not looked at.
    let old = format!("__Host-tessera={stale}; sid={token}");
    for (path, header, status) in [
        ("/v1/session", ("Authorization", &bearer), 200),
        ("/v1/session", ("Cookie", &sid), 200),
        ("/v1/session", ("Cookie", &old), 200),
        ("/v1/session", ("X-Login", &token), 401),
        ("/auth", ("X-Login", &token), 200),
        ("/auth", ("Cookie", &old), 200),
        ("/auth", ("Authorization", &bearer), 401),
        ("/auth", ("Cookie", &format!("__Host-tessera={token}")), 401),
    ] {
        let answer = ask(&server, path, &[(header.0, header.1.as_str())]);
        assert_eq!(answer.status, status, "{path} {}", header.0);
    }
    let absent = ask(&server, "/v1/session", &[]);
    absent.refused(401, "token-absent");
    let detail = absent.json()["detail"].as_str().map(str::to_owned);
    assert_eq!(
        detail.as_deref(),
        Some("send the session's token in the cookie `sid`, or `Authorization: Bearer`")
    );
    server.stop();
}

#[test]
fn an_unfit_transport_is_refused_at_the_start_by_name() {
    for (flags, said) in [
        (
            vec!["--transport", "query:token"],
            "bearer, cookie:NAME or header:NAME",
        ),
        (
            vec!["--transport", "cookie:a,cookie:a"],
            "two transports use the cookie `a`",
        ),
        (vec!["--auth-transport", "header:Cookie"], "begins with X-"),
        (
            vec!["--auth-method-header", "X-Forwarded-Method"],
            "--auth-options pass",
        ),
        (
            vec!["--transport", "header:X-Role", "--auth-header", "role=X-Role"],
            "used both as a transport and for a field",
        ),
    ] {
        let (_directory, data) = place();
        let data = data.display().to_string();
        let mut all = vec!["serve", "--data", &data];
        all.extend(flags);
        let (done, _, refused) = run(&all);
        assert!(!done && refused.contains(said), "{refused}");
    }
}
