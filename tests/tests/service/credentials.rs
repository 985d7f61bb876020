//! Who is let in, and what is said to those who are not.

use serde_json::json;

use crate::client::bearer;
use crate::{forged, serve};

#[test]
fn a_service_route_takes_the_service_key_and_nothing_else() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    for (method, path) in [
        ("POST", "/v1/sessions"),
        ("GET", "/v1/subjects/alice/sessions"),
        ("DELETE", "/v1/subjects/alice/sessions"),
        ("DELETE", "/v1/subjects/alice/sessions/x"),
    ] {
        let absent = client.send(method, path, &[], None);
        absent.refused(401, "service-key-absent");
        assert_eq!(absent.header("www-authenticate"), Some("Bearer"));
        client
            .call(method, path, "", None)
            .refused(403, "service-key-wrong");
        client
            .call(method, path, &key[..key.len() - 1], None)
            .refused(403, "service-key-wrong");
        client
            .call(method, path, &format!("{key}x"), None)
            .refused(403, "service-key-wrong");
        client
            .call(method, path, &token, None)
            .refused(403, "service-key-wrong");
        let basic = [("Authorization", "Basic YTpi")];
        client
            .send(method, path, &basic, None)
            .refused(401, "scheme-unknown");
        let twice = [
            ("X-Tessera-Service-Key", key.as_str()),
            ("X-Tessera-Service-Key", "x"),
        ];
        client
            .send(method, path, &twice, None)
            .refused(400, "header-malformed");
    }
    // The service key opens no session.
    client
        .call("GET", "/v1/session", &key, None)
        .refused(401, "token-malformed");
    client
        .send(
            "GET",
            "/v1/subjects/alice/sessions",
            &[("x-tessera-service-key", &key)],
            None,
        )
        .ok();
    server.stop();
}

#[test]
fn each_fault_of_a_token_has_its_code() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, None);
    let key_id = token.split('.').nth(1).expect("a key id");
    let absent = client.send("GET", "/v1/session", &[], None);
    absent.refused(401, "token-absent");
    assert_eq!(absent.header("www-authenticate"), Some("Bearer"));
    for (token, code) in [
        (String::new(), "token-malformed"),
        ("x".into(), "token-malformed"),
        (format!("{token}x"), "token-malformed"),
        (format!("{token}."), "token-malformed"),
        (token[..token.len() - 1].into(), "token-malformed"),
        (token.replacen("ts1", "ts2", 1), "token-malformed"),
        ("x".repeat(4097), "token-too-long"),
        (token.replacen(key_id, "other", 1), "token-key-unknown"),
        (forged(&token), "token-mac-wrong"),
    ] {
        for (method, path) in [
            ("GET", "/v1/session"),
            ("PATCH", "/v1/session"),
            ("DELETE", "/v1/session"),
            ("POST", "/v1/session/rotate"),
        ] {
            let refused = client.call(method, path, &token, None);
            refused.refused(401, code);
            assert_eq!(
                refused.header("www-authenticate"),
                Some(r#"Bearer error="invalid_token""#),
                "{token}"
            );
        }
        let body = json!({ "token": token }).to_string();
        client
            .send("POST", "/v1/verify", &[], Some(&body))
            .refused(401, code);
    }
    client.call("GET", "/v1/session", &token, None).ok();
    server.stop();
}

#[test]
fn a_cookie_holds_the_token_as_well() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let (mine, planted) = (
        client.create(&key, Some("mine")),
        client.create(&key, Some("planted")),
    );
    let mut subject = |cookie: &str| client.send("GET", "/v1/session", &[("Cookie", cookie)], None);
    assert_eq!(subject(&format!("__Host-tessera={mine}")).ok()["subject"], "mine");
    assert_eq!(subject(&format!("a=b; tessera={mine};c")).ok()["subject"], "mine");
    // A sibling domain can set the one without the prefix, never the one with it.
    assert_eq!(
        subject(&format!("tessera={planted}; __Host-tessera={mine}")).ok()["subject"],
        "mine"
    );
    subject(&format!("tessera={planted}; tessera={mine}")).refused(401, "token-ambiguous");
    // Of two, the one that opens.
    subject(&format!("tessera={}; tessera={mine}", forged(&planted))).ok();
    subject("session=x").refused(401, "token-absent");
    subject("__Host-tessera=x").refused(401, "token-malformed");

    // A page of another site changes nothing with a cookie that the browser sends along.
    let cookie = format!("__Host-tessera={mine}");
    for site in ["cross-site", "same-site"] {
        let headers = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", site)];
        client
            .send("POST", "/v1/session/rotate", &headers, None)
            .refused(403, "cross-site");
        client
            .send("DELETE", "/v1/session", &headers, None)
            .refused(403, "cross-site");
        client.send("GET", "/v1/session", &headers, None).ok();
    }
    // Browsers that do not say it so, or do not know how to.
    for origin in ["http://evil.example", "http://localhost.evil.example", "null"] {
        let headers = [("Cookie", cookie.as_str()), ("Origin", origin)];
        client
            .send("POST", "/v1/session/rotate", &headers, None)
            .refused(403, "cross-site");
    }
    let headers = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "unheard-of")];
    client
        .send("POST", "/v1/session/rotate", &headers, None)
        .refused(403, "cross-site");
    let headers = [("Cookie", cookie.as_str()), ("Origin", "http://localhost")];
    client.send("POST", "/v1/session/rotate", &headers, None).ok();
    let headers = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let renewed = client.send("POST", "/v1/session/rotate", &headers, None).token();
    // What is said in words comes before what the browser sends by itself.
    let both = [("Cookie", cookie.as_str()), ("Authorization", &bearer(&planted))];
    assert_eq!(
        client.send("GET", "/v1/session", &both, None).ok()["subject"],
        "planted"
    );
    client.call("GET", "/v1/session", &renewed, None).ok();
    server.stop();
}

#[test]
fn neither_log_nor_error_holds_a_secret() {
    let (_directory, server) = serve(&["--log", "trace"]);
    let (mut client, key) = (server.client(), server.service_key());
    let login = r#"{"subject":"alice","fields":{"f":"a-stored-value"}}"#;
    let token = client.call("POST", "/v1/sessions", &key, Some(login)).token();
    let renewed = client.call("POST", "/v1/session/rotate", &token, None).token();
    client.call("GET", "/v1/session", &renewed, None).ok();
    let quoted = json!(token).to_string();
    let mut answers = vec![
        client.call("GET", "/v1/session", &forged(&token), None),
        client.call("GET", &format!("/v1/{token}"), &token, None),
        client.call("GET", &format!("/v1/session?token={token}"), &key, None),
        client.call("POST", "/v1/sessions", &token, None),
        client.call("POST", "/v1/sessions", &key, Some(&quoted)),
        client.call(
            "PATCH",
            "/v1/session",
            &token,
            Some(&format!(r#"{{"set":"{key}"}}"#)),
        ),
        client.call(
            "PATCH",
            "/v1/session",
            &token,
            Some(&format!(r#"{{"set":{{"a":{{"$t":["{key}",1]}}}}}}"#)),
        ),
        client.call(
            "DELETE",
            &format!("/v1/subjects/alice/sessions/{token}"),
            &key,
            None,
        ),
        client.call(
            "GET",
            &format!("/v1/subjects/{}/sessions", "x".repeat(300)),
            &key,
            None,
        ),
    ];
    for body in [
        quoted.clone(),
        format!("[{quoted}]"),
        format!(r#"{{{quoted}:1}}"#),
        format!(r#"{{"token":[{quoted}]}}"#),
        format!(r#"{{"token":{quoted}"#),
        format!(r#"{{"token":{quoted},"max_age_ms":{quoted}}}"#),
        format!(r#"{{"token":{quoted},"{key}":1}}"#),
    ] {
        answers.push(client.send("POST", "/v1/verify", &[], Some(&body)));
    }
    // Ended while the client holds its token, and a subject's page that no longer has it.
    client
        .call("DELETE", "/v1/subjects/alice/sessions", &key, None)
        .ok();
    answers.push(client.call("GET", "/v1/session", &renewed, None));

    let id = base64_payload(&token);
    let log = server.log();
    assert!(
        log.contains("/v1/session/rotate"),
        "requests are logged at this level:\n{log}"
    );
    let secrets = [
        token.as_str(),
        &renewed,
        &key,
        &id,
        &token[token.len() - 43..],
        "a-stored-value",
    ];
    for secret in secrets {
        assert!(!log.contains(secret), "{log}");
        for answer in &answers {
            assert!(answer.status >= 400, "{answer:?}");
            assert!(!answer.text.contains(secret), "{answer:?}");
        }
    }
    server.stop();
}

/// What stands for the session id in a compact token: its first 16 bytes, less the bits shared with the next.
fn base64_payload(token: &str) -> String {
    let payload = token.split('.').nth(2).expect("a payload");
    payload[..21].to_owned()
}
