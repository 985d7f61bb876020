//! One HTTP contract: the Worker and `tessera serve` are sent the same requests and answer alike.

use serde_json::json;
use tessera_tests::edge::{SERVICE_KEY, Worker};
use tessera_tests::http_client::{Answer, Client, bearer};

use crate::both::{Both, serve};
use crate::{nothing, start, tell};

fn tokens(answers: &[Answer; 2]) -> [String; 2] {
    answers.each_ref().map(Answer::token)
}

fn reference(answer: &Answer) -> String {
    answer.json()["reference"]
        .as_str()
        .expect("a reference")
        .to_owned()
}

#[test]
fn the_worker_and_tessera_serve_answer_the_same_requests_alike() {
    answer_alike(&start(&json!({"TESSERA_AUTH_HEADERS": "role=X-Role"})), false);
}

/// A login and a renewal take a new id there, which nobody can tell but who shows a token from before a login.
#[test]
fn the_worker_over_kv_alone_and_tessera_serve_answer_the_same_requests_alike() {
    answer_alike(
        &start(
            &json!({"TESSERA_STORE": "kv", "TESSERA_ROTATION_GRACE": "60s", "TESSERA_AUTH_HEADERS": "role=X-Role"}),
        ),
        true,
    );
}

fn answer_alike(worker: &Worker, login_ends_the_old: bool) {
    let host = serve(&["--demo", "off", "--auth-header", "role=X-Role"]);
    let mut both = Both {
        edge: worker.client(),
        host: Client::new(&host.address),
        asked: 0,
    };
    let none: [&[(&str, &str)]; 2] = [&[], &[]];

    for (method, path) in [
        ("GET", "/healthz"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("PUT", "/v1/session"),
        ("GET", "/v1/session"),
        ("POST", "/v1/sessions"),
        ("GET", "/auth"),
        ("GET", "/auth/any/path"),
    ] {
        both.send(method, [path, path], none, None);
    }
    let wrong: &[(&str, &str)] = &[("Authorization", "Bearer not-the-service-key")];
    both.send("POST", ["/v1/sessions"; 2], [wrong, wrong], Some("{}"));
    for body in [
        "",
        "[]",
        "{",
        r#"{"subject":1}"#,
        r#"{"unknown":1}"#,
        r#"{"fields":{"a":1,"a":2}}"#,
        r#"{"fields":{"n":9223372036854775808}}"#,
    ] {
        both.service("POST", "/v1/sessions", Some(body));
    }
    let long = "x".repeat(300);
    both.service(
        "POST",
        "/v1/sessions",
        Some(&json!({ "subject": long }).to_string()),
    );
    both.service(
        "POST",
        "/v1/sessions",
        Some(&json!({"fields": {&long: 1}}).to_string()),
    );
    both.service(
        "POST",
        "/v1/sessions",
        Some(&json!({"fields": {"big": "x".repeat(20_000)}}).to_string()),
    );
    // `tessera serve` closes the connection of whoever sends more than it reads; what it says then may be lost on the way.
    let big = worker.send(
        "POST",
        "/v1/sessions",
        &[("Authorization", &bearer(SERVICE_KEY))],
        Some(&"x".repeat((1 << 20) + 1)),
    );
    big.expect("an answer").refused(413, "body-too-large");
    both.edge = worker.client();

    let fields = r#"{"role":"admin","n":1,"f":1.0,"z":-0.0,"list":[1,{"a":null}],"bytes":{"$t":["bytes","AP8"]},"big":{"$t":["int","9007199254740993"]},"own":{"$t":["json",{"$t":1}]}}"#;
    let created = both.service(
        "POST",
        "/v1/sessions",
        Some(&format!(r#"{{"subject":"alice","fields":{fields}}}"#)),
    );
    let first = tokens(&created);
    both.holder("GET", "/v1/session", &first, None);
    both.holder("GET", "/auth", &first, None);
    both.holder(
        "PATCH",
        "/v1/session",
        &first,
        Some(r#"{"set":{"n":2},"remove":["f","no such field"]}"#),
    );
    both.holder(
        "PATCH",
        "/v1/session",
        &first,
        Some(r#"{"set":{"n":2},"remove":["n"]}"#),
    );
    both.holder("PATCH", "/v1/session", &first, Some(r#"{"set":{"":1}}"#));
    both.holder("PATCH", "/v1/session", &first, Some("{}"));
    let rotated = tokens(&both.holder("POST", "/v1/session/rotate", &first, Some("{}")));
    both.holder("GET", "/v1/session", &first, None);
    both.holder("GET", "/v1/session", &rotated, None);
    both.holder("GET", "/v1/session", &first, None);

    let login = |tokens: &[String; 2], side: usize| {
        [
            ("Authorization".to_owned(), bearer(&tokens[side])),
            ("X-Tessera-Service-Key".to_owned(), SERVICE_KEY.to_owned()),
        ]
    };
    let logins = [login(&rotated, 0), login(&rotated, 1)];
    let headers = logins.each_ref().map(|pairs| {
        pairs
            .each_ref()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    });
    both.holder(
        "POST",
        "/v1/session/authenticate",
        &rotated,
        Some(r#"{"subject":"bob"}"#),
    );
    let stepped = both.send(
        "POST",
        ["/v1/session/authenticate"; 2],
        [&headers[0], &headers[1]],
        Some(r#"{"subject":"alice","keep":["role"],"set":{"at":"login"}}"#),
    );
    let stepped = tokens(&stepped);
    if login_ends_the_old {
        let old = both.edge.call("GET", "/v1/session", &rotated[0], None);
        old.refused(401, "missing");
    } else {
        both.holder("GET", "/v1/session", &rotated, None);
    }
    both.holder("GET", "/v1/session", &stepped, None);

    for token in ["", "ts1", "ts1.2026-01.AAAA.AAAA", "a.b.c", &"x".repeat(5000)] {
        both.holder("GET", "/v1/session", &[token.into(), token.into()], None);
    }
    let verify = |token: &str| json!({ "token": token }).to_string();
    for (side, path) in [(0, "edge"), (1, "host")] {
        let client = if side == 0 { &mut both.edge } else { &mut both.host };
        let verified = client.call("POST", "/v1/verify", SERVICE_KEY, Some(&verify(&stepped[side])));
        assert_eq!(verified.status, 200, "{path}: {verified:?}");
    }
    both.service("POST", "/v1/verify", Some(&verify("ts1.2026-01.AAAA.AAAA")));

    let other = both.service("POST", "/v1/sessions", Some(r#"{"subject":"alice"}"#));
    both.service("GET", "/v1/subjects/nobody/sessions", None);
    both.service("GET", "/v1/subjects/alice/sessions?cursor=no-cursor", None);
    let listed = both
        .edge
        .call("GET", "/v1/subjects/alice/sessions", SERVICE_KEY, None)
        .ok();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(2), "{listed}");
    let paths = other
        .each_ref()
        .map(|answer| format!("/v1/subjects/alice/sessions/{}", reference(answer)));
    let key = bearer(SERVICE_KEY);
    let service: &[(&str, &str)] = &[("Authorization", &key)];
    both.send("DELETE", [&paths[0], &paths[1]], [service, service], None);
    both.holder("GET", "/v1/session", &tokens(&other), None);
    both.service("DELETE", "/v1/subjects/alice/sessions", None);
    both.service("DELETE", "/v1/subjects/alice/sessions", None);
    both.holder("GET", "/v1/session", &stepped, None);

    let anonymous = tokens(&both.service("POST", "/v1/sessions", Some("{}")));
    both.holder("GET", "/auth", &anonymous, None);
    // A cookie of others may hold any bytes.
    let beside = anonymous
        .each_ref()
        .map(|token| format!("theirs=gr\u{fc}n; __Host-tessera={token}"));
    let headers = beside.each_ref().map(|cookie| [("Cookie", cookie.as_str())]);
    let [read, _] = both.send("GET", ["/v1/session"; 2], [&headers[0], &headers[1]], None);
    assert_eq!(read.status, 200, "{read:?}");
    both.holder("DELETE", "/v1/session", &anonymous, None);
    both.holder("DELETE", "/v1/session", &anonymous, None);
    let cookies = anonymous
        .each_ref()
        .map(|token| format!("__Host-tessera={token}"));
    let headers = cookies.each_ref().map(|cookie| {
        [
            ("Cookie", cookie.as_str()),
            ("Origin", "https://elsewhere.example"),
            ("Sec-Fetch-Site", "cross-site"),
        ]
    });
    both.send("DELETE", ["/v1/session"; 2], [&headers[0], &headers[1]], None);
    tell(&format!("contract: {} requests answered alike", both.asked));
}

/// More sessions than one request may ask storage about.
#[test]
fn a_subject_with_many_sessions_is_listed_in_pages_and_logged_out_everywhere() {
    let worker = start(&nothing());
    let mut client = worker.client();
    for _ in 0..120 {
        client.create(SERVICE_KEY, Some("alice"));
    }
    let (mut listed, mut path) = (0, "/v1/subjects/alice/sessions".to_owned());
    loop {
        let page = client.call("GET", &path, SERVICE_KEY, None).ok();
        listed += page["sessions"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/subjects/alice/sessions?cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed, 120);
    let ended = client
        .call("DELETE", "/v1/subjects/alice/sessions", SERVICE_KEY, None)
        .ok();
    assert_eq!(ended["ended"], 120, "{ended}");
}

/// The platform ends a request that asks storage too often; this one says so before, and goes on when it is asked again.
#[test]
fn ending_more_sessions_than_one_request_may_ask_about_goes_on_with_the_next() {
    let worker = start(&nothing());
    let mut client = worker.client();
    const SESSIONS: usize = 700;
    for _ in 0..SESSIONS {
        client.create(SERVICE_KEY, Some("alice"));
    }
    let path = "/v1/subjects/alice/sessions";
    let mut refused = 0;
    loop {
        let before = client.call("GET", path, SERVICE_KEY, None).ok();
        let answer = client.call("DELETE", path, SERVICE_KEY, None);
        if answer.status == 200 {
            break;
        }
        // Before the request has ended any, or in the midst of it.
        assert!(
            matches!(answer.code().as_str(), "throttled" | "outcome-unknown"),
            "{answer:?}"
        );
        assert_eq!(answer.status, 503, "{answer:?}");
        if answer.code() == "throttled" {
            let after = client.call("GET", path, SERVICE_KEY, None).ok();
            assert_eq!(before, after, "some were ended, and it was said that none was");
        }
        refused += 1;
        assert!(refused < 10, "it never ends");
    }
    assert!(refused > 0, "one request has asked about {SESSIONS} sessions");
    let left = client.call("GET", path, SERVICE_KEY, None).ok();
    assert_eq!(left["sessions"], json!([]), "{left}");
}
