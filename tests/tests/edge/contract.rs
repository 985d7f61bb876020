//! One HTTP contract: the Worker and `tessera serve` are sent the same requests and answer alike.

use serde_json::json;
use tessera_tests::edge::{SERVICE_KEY, Worker};
use tessera_tests::http_client::{Answer, Client, bearer};

use crate::both::{Both, serve};
use crate::{nothing, start, tell};

fn tokens(answers: &[Answer; 2]) -> [String; 2] {
    answers.each_ref().map(Answer::token)
}

fn public_id(answer: &Answer) -> String {
    answer.json()["public_id"]
        .as_str()
        .expect("a public id")
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

    for client in [&mut both.edge, &mut both.host] {
        assert_eq!(client.send("GET", "/healthz", &[], None).ok()["status"], "ok");
    }
    for (method, path) in [
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("PUT", "/v1/session"),
        ("GET", "/v1/session"),
        ("POST", "/v1/sessions"),
        ("GET", "/auth"),
        ("GET", "/auth/any/path"),
        ("GET", "/v1/session/"),
        ("GET", "/v1//session"),
        ("GET", "/v1/session?token=a"),
        ("GET", "/v1/subjects/%ff/sessions"),
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
        .map(|answer| format!("/v1/subjects/alice/sessions/{}", public_id(answer)));
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
    each_header_twice(&mut both, &anonymous);
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

/// workerd joins headers of one name, and a second one is a fault all the same.
fn each_header_twice(both: &mut Both, tokens: &[String; 2]) {
    let theirs = tokens.each_ref().map(|token| {
        [
            bearer(token),
            format!("a=1; __Host-tessera={token}"),
            format!("__Host-tessera={token}"),
            "b=2".to_owned(),
        ]
    });
    let key = bearer(SERVICE_KEY);
    let mut send =
        |method: &str, path: &str, headers: &dyn Fn(usize) -> Vec<(&'static str, String)>, body| {
            let headers = [headers(0), headers(1)];
            let headers = headers.each_ref().map(|pairs| {
                let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
                pairs.collect::<Vec<_>>()
            });
            both.send(method, [path; 2], [&headers[0], &headers[1]], body)
        };
    let cookies = |first: usize, second: usize| {
        let theirs = &theirs;
        move |side: usize| {
            let [first, second] = [first, second].map(|at| theirs[side][at].clone());
            vec![("Cookie", first), ("Cookie", second)]
        }
    };
    for path in ["/v1/session", "/auth"] {
        for (first, second) in [(3, 2), (1, 2)] {
            let [answer, _] = send("GET", path, &cookies(first, second), None);
            // Anything but 401 is an outage to a proxy.
            assert_eq!(
                answer.status,
                if path == "/auth" { 401 } else { 400 },
                "{answer:?}"
            );
        }
        send(
            "GET",
            path,
            &|side| {
                vec![
                    ("Authorization", theirs[side][0].clone()),
                    ("Authorization", theirs[side][0].clone()),
                ]
            },
            None,
        );
        send(
            "GET",
            path,
            &|side| {
                vec![
                    ("Authorization", "Basic YTpi".into()),
                    ("Authorization", theirs[side][0].clone()),
                ]
            },
            None,
        );
    }
    let twice = |name: &'static str, value: &str| vec![(name, value.to_owned()), (name, value.to_owned())];
    let by_service = |more: Vec<(&'static str, String)>| {
        let mut headers = vec![("Authorization", key.clone())];
        headers.extend(more);
        headers
    };
    send(
        "POST",
        "/v1/sessions",
        &|_| twice("Authorization", &key),
        Some("{}"),
    );
    send(
        "POST",
        "/v1/sessions",
        &|_| twice("X-Tessera-Service-Key", SERVICE_KEY),
        Some("{}"),
    );
    for types in ["application/json", "text/plain"] {
        send(
            "POST",
            "/v1/sessions",
            &|_| by_service(twice("Content-Type", types)),
            Some("{}"),
        );
    }
    for origin in ["https://localhost", "https://elsewhere.example"] {
        send(
            "POST",
            "/v1/session/rotate",
            &|side| {
                let mut headers = twice("Origin", origin);
                headers.push(("Cookie", theirs[side][2].clone()));
                headers
            },
            None,
        );
    }
}

/// How many sessions a subject has, on all pages.
fn count(client: &mut Client, subject: &str) -> usize {
    let (mut listed, mut path) = (0, format!("/v1/subjects/{subject}/sessions"));
    loop {
        let page = client.call("GET", &path, SERVICE_KEY, None).ok();
        listed += page["sessions"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/subjects/{subject}/sessions?cursor={next}"),
            None => return listed,
        }
    }
}

/// More sessions than one request may ask storage about.
#[test]
fn a_subject_with_many_sessions_is_listed_in_pages_and_logged_out_everywhere() {
    let worker = start(&nothing());
    let mut client = worker.client();
    for _ in 0..120 {
        client.create(SERVICE_KEY, Some("alice"));
    }
    assert_eq!(count(&mut client, "alice"), 120);
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

/// As `docs/edge.md` says.
#[test]
fn one_call_ends_491_sessions_of_a_subject_or_300_with_a_cache_or_200_over_kv_alone() {
    for (store, most) in [("durable", 491), ("combined", 300), ("kv", 200)] {
        let worker = start(&json!({"TESSERA_STORE": store, "TESSERA_ROTATION_GRACE": "60s"}));
        let path = |subject: &str| format!("/v1/subjects/{subject}/sessions");
        let end_all = |subject: &str, sessions: usize| {
            std::thread::scope(|scope| {
                for sessions in [sessions / 2, sessions.div_ceil(2)] {
                    let mut client = worker.client();
                    scope.spawn(move || {
                        for _ in 0..sessions {
                            client.create(SERVICE_KEY, Some(subject));
                        }
                    });
                }
            });
            worker.client().call("DELETE", &path(subject), SERVICE_KEY, None)
        };
        assert_eq!(end_all("alice", most).ok()["ended"], most, "{store}");

        let more = 100;
        let refused = end_all("bob", most + more);
        assert_eq!(refused.status, 503, "{store}: {refused:?}");
        let left = count(&mut worker.client(), "bob");
        assert!(left <= more, "{store}: {left} are left");
    }
}

/// What a body takes is the caller's affair once its token is known to be good, and no sooner.
#[test]
fn a_large_change_with_a_token_that_is_not_good_is_refused_before_its_body_is_looked_at() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let set: serde_json::Map<String, serde_json::Value> =
        (0..55_000).map(|n| (format!("{n:x}"), json!(1))).collect();
    let remove: Vec<String> = (0..60_000).map(|n| format!("r{n:x}")).collect();
    let large = json!({"set": set, "remove": remove}).to_string();
    assert!(large.len() > 900_000 && large.len() < 1 << 20, "{}", large.len());
    let mut forged = token.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    for bogus in ["bogus", "ts1.2026-01.AAAA.AAAA", &forged] {
        // What is no JSON would be refused with 400 if anybody had looked.
        for body in [large.as_str(), "{"] {
            let answer = worker.client().call("PATCH", "/v1/session", bogus, Some(body));
            assert_eq!(answer.status, 401, "{bogus}: {answer:?}");
        }
    }
    let answer = worker.client().call("PATCH", "/v1/session", &token, Some(&large));
    answer.refused(413, "body-too-large");
    let read = worker.client().call("GET", "/v1/session", &token, None).ok();
    assert_eq!(read["fields"], json!({}));
}
