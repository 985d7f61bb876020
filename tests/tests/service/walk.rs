//! What a user does, and what comes back.

use serde_json::json;

use crate::serve;

#[test]
fn login_read_change_rotate_logout() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());

    let login = r#"{"subject":"alice","fields":{"role":"admin"}}"#;
    let login = client.call("POST", "/v1/sessions", &key, Some(login));
    assert_eq!(
        (login.status, login.header("cache-control")),
        (201, Some("no-store"))
    );
    let (token, made) = (login.token(), login.ok());

    let read = client.call("GET", "/v1/session", &token, None);
    assert_eq!(read.header("cache-control"), Some("no-store"));
    let read = read.ok();
    assert_eq!(
        (&read["subject"], &read["fields"]),
        (&json!("alice"), &json!({ "role": "admin" }))
    );
    assert_eq!(read["public_id"], made["public_id"]);
    assert!(
        read.get("token").is_none(),
        "nothing changed, nothing is handed out"
    );

    let change = r#"{"set":{"theme":"dark"},"remove":["role"]}"#;
    let changed = client.call("PATCH", "/v1/session", &token, Some(change)).ok();
    assert_eq!(changed["fields"], json!({ "theme": "dark" }));

    let renewed = client.call("POST", "/v1/session/rotate", &token, None).token();
    assert_ne!(renewed, token);
    // Both work until the new one was used, and shortly after.
    for token in [&token, &renewed, &token] {
        assert_eq!(
            client.call("GET", "/v1/session", token, None).ok()["fields"],
            json!({ "theme": "dark" })
        );
    }

    let logout = client.call("DELETE", "/v1/session", &renewed, None);
    assert_eq!(
        (
            logout.status,
            logout.text.as_str(),
            logout.header("cache-control")
        ),
        (204, "", Some("no-store"))
    );
    for token in [&token, &renewed] {
        let gone = client.call("GET", "/v1/session", token, None);
        gone.refused(401, "missing");
        assert_eq!(
            gone.header("www-authenticate"),
            Some(r#"Bearer error="invalid_token""#)
        );
    }
    server.stop();
}

#[test]
fn what_was_read_can_be_written_back() {
    let (_directory, server) = serve(&[]);
    let (mut client, token) = (
        server.client(),
        server.client().create(&server.service_key(), None),
    );
    // As text: the order and the form of what comes back count.
    let fields = concat!(
        r#"{"bytes":{"$t":["bytes","AP8"]},"float":1.0,"integer":-7,"json":{"b":[1.5,null],"a":{"$t":1}},"#,
        r#""large":{"$t":["int","9223372036854775807"]},"list":[1,2],"mistakable":{"$t":["json",{"$t":1}]},"#,
        r#""none":null,"text":"a\"ü\u0001","yes":true}"#
    );
    // Numbers and white space are written in one form.
    let body = format!(r#"{{"set":{}}}"#, fields.replace("1.5,", " 1.50 ,"));
    client.call("PATCH", "/v1/session", &token, Some(&body)).ok();
    for _ in 0..2 {
        let read = client.call("GET", "/v1/session", &token, None);
        assert!(
            read.text.ends_with(&format!(r#""fields":{fields}}}"#)),
            "{}",
            read.text
        );
        client.call("PATCH", "/v1/session", &token, Some(&body)).ok();
    }
    server.stop();
}

#[test]
fn a_login_takes_the_service_and_ends_the_token_before_it() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let visitor = client.create(&key, None);
    let set = r#"{"set":{"basket":["a"],"theme":"dark"}}"#;
    client.call("PATCH", "/v1/session", &visitor, Some(set)).ok();

    let body = r#"{"subject":"bob","keep":["basket"],"set":{"role":"user"}}"#;
    let path = "/v1/session/authenticate";
    // The holder of a token cannot say who they are.
    client
        .call("POST", path, &visitor, Some(body))
        .refused(401, "service-key-absent");
    let bearer = crate::client::bearer(&visitor);
    let wrong = [
        ("Authorization", bearer.as_str()),
        ("X-Tessera-Service-Key", "tsk_wrong"),
    ];
    client
        .send("POST", path, &wrong, Some(body))
        .refused(403, "service-key-wrong");
    let right = [
        ("Authorization", bearer.as_str()),
        ("X-Tessera-Service-Key", key.as_str()),
    ];
    client
        .send("POST", path, &right, Some("{}"))
        .refused(422, "member-absent");

    let login = client.send("POST", path, &right, Some(body));
    assert_eq!(login.ok()["fields"], json!({ "basket": ["a"], "role": "user" }));
    assert_eq!(login.ok()["subject"], "bob");
    client
        .call("GET", "/v1/session", &visitor, None)
        .refused(401, "replaced");
    assert_eq!(
        client.call("GET", "/v1/session", &login.token(), None).ok()["subject"],
        "bob"
    );
    server.stop();
}

#[test]
fn a_subjects_sessions_are_listed_and_ended() {
    let (_directory, server) = serve(&["--public-field", "agent"]);
    let (mut client, key) = (server.client(), server.service_key());
    // A subject may hold what a path cannot.
    let subject = "ä/b c";
    let path = "/v1/subjects/%C3%A4%2Fb%20c/sessions";
    let tokens: Vec<String> = (0..3).map(|_| client.create(&key, Some(subject))).collect();
    let other = client.create(&key, Some("other"));
    let set = r#"{"set":{"agent":"Firefox","secret":"x"}}"#;
    let own = client.call("PATCH", "/v1/session", &tokens[0], Some(set)).ok()["public_id"].clone();
    let own = own.as_str().expect("a public id");

    let listed = client
        .call("GET", &format!("{path}?current={own}"), &key, None)
        .ok();
    let sessions = listed["sessions"].as_array().expect("a list");
    assert_eq!((sessions.len(), &listed["next"]), (3, &json!(null)));
    let current: Vec<_> = sessions
        .iter()
        .filter(|session| session["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(
        (&current[0]["public_id"], &current[0]["fields"]),
        (&json!(own), &json!({ "agent": "Firefox" }))
    );
    client
        .call("GET", &format!("{path}?limit=1"), &key, None)
        .refused(400, "query-malformed");

    assert_eq!(
        client.call("DELETE", &format!("{path}/{own}"), &key, None).status,
        204
    );
    client
        .call("DELETE", &format!("{path}/{own}"), &key, None)
        .refused(404, "session-not-found");
    client
        .call("GET", "/v1/session", &tokens[0], None)
        .refused(401, "missing");
    assert_eq!(
        client.call("DELETE", path, &key, None).ok(),
        json!({ "ended": 2 })
    );
    client
        .call("GET", "/v1/session", &tokens[2], None)
        .refused(401, "missing");
    client.call("GET", "/v1/session", &other, None).ok();
    server.stop();
}

#[test]
fn a_token_is_verified_without_the_store() {
    let flags = [
        "--token-format",
        "jwt",
        "--issuer",
        "https://login.test",
        "--audience",
        "shop",
        "--token-field",
        "role",
    ];
    let (_directory, server) = serve(&flags);
    let (mut client, key) = (server.client(), server.service_key());
    client
        .call("POST", "/v1/sessions", &key, Some("{}"))
        .refused(422, "subject-required");
    let login = r#"{"subject":"alice","fields":{"role":"admin","n":1}}"#;
    let token = client.call("POST", "/v1/sessions", &key, Some(login)).token();
    let body = json!({ "token": token }).to_string();
    let claims = client.send("POST", "/v1/verify", &[], Some(&body)).ok();
    assert_eq!(
        (&claims["subject"], &claims["data"]),
        (&json!("alice"), &json!({ "role": "admin" }))
    );

    // A logout goes unnoticed here, and `max_age_ms` says for how long.
    assert_eq!(client.call("DELETE", "/v1/session", &token, None).status, 204);
    client.send("POST", "/v1/verify", &[], Some(&body)).ok();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let body = json!({ "token": token, "max_age_ms": 50 }).to_string();
    client
        .send("POST", "/v1/verify", &[], Some(&body))
        .refused(401, "expired");
    let body = json!({ "token": token, "max_age_ms": -1 }).to_string();
    client
        .send("POST", "/v1/verify", &[], Some(&body))
        .refused(422, "invalid-member");
    let body = json!({ "token": crate::forged(&token) }).to_string();
    client
        .send("POST", "/v1/verify", &[], Some(&body))
        .refused(401, "token-mac-wrong");
    server.stop();
}

#[test]
fn a_jwt_past_half_of_its_life_is_made_anew_when_it_is_used() {
    let flags = [
        "--token-format",
        "jwt",
        "--issuer",
        "i",
        "--audience",
        "a",
        "--token-lifetime",
        "2s",
    ];
    let (_directory, server) = serve(&flags);
    let (mut client, token) = (
        server.client(),
        server.client().create(&server.service_key(), Some("alice")),
    );
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let renewed = client.call("GET", "/v1/session", &token, None).token();
    assert_ne!(renewed, token);
    let read = client.call("GET", "/v1/session", &renewed, None).ok();
    assert_eq!(read["generation"], 1);
    server.stop();
}

#[test]
fn concurrent_changes_of_one_field_conflict_where_the_policy_says_so() {
    let (_directory, server) = serve(&["--field-rule", "conflict"]);
    let token = server.client().create(&server.service_key(), None);
    let change = |value: i32| {
        let body = json!({ "set": { "n": value } }).to_string();
        server.client().call("PATCH", "/v1/session", &token, Some(&body))
    };
    let mut conflicts = 0;
    for round in 0..200 {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|n| scope.spawn(move || change(round * 4 + n)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            answer.refused(409, "conflict");
            assert_eq!(answer.json()["fields"], json!(["n"]));
            conflicts += 1;
        }
        assert!(
            answers.iter().any(|answer| answer.status == 200),
            "one of them came first"
        );
        if conflicts > 0 {
            break;
        }
    }
    assert!(conflicts > 0, "no two of 800 changes met");
    server.stop();
}

#[test]
fn reading_slides_the_idle_expiry_beside_the_answer() {
    let (_directory, server) = serve(&["--idle-timeout", "2s", "--touch-interval", "100ms"]);
    let (mut client, key) = (server.client(), server.service_key());
    let (used, unused) = (client.create(&key, None), client.create(&key, None));
    for _ in 0..6 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        client.call("GET", "/v1/session", &used, None).ok();
    }
    client
        .call("GET", "/v1/session", &unused, None)
        .refused(401, "missing");
    server.stop();
}

/// Whoever sends a request resolves `.` and `..` in its path.
#[test]
fn a_subject_that_no_path_can_hold_is_listed_and_ended_by_the_query() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    for (subject, encoded) in [
        (".", "."),
        ("..", "%2E%2E"),
        ("a/../b", "a%2F..%2Fb"),
        ("ä b+c", "%C3%A4+b%2Bc"),
    ] {
        let path = format!("/v1/sessions?subject={encoded}");
        for _ in 0..3 {
            client.create(&key, Some(subject));
        }
        let listed = client.call("GET", &path, &key, None).ok();
        let sessions = listed["sessions"].as_array().expect("a list");
        assert_eq!(sessions.len(), 3, "{subject}");
        let public_id = sessions[0]["public_id"].as_str().expect("a public id");
        let marked = client
            .call("GET", &format!("{path}&current={public_id}"), &key, None)
            .ok();
        assert_eq!(marked["sessions"][0]["current"], true);
        let one = format!("{path}&public_id={public_id}");
        assert_eq!(client.call("DELETE", &one, &key, None).status, 204);
        client
            .call("DELETE", &one, &key, None)
            .refused(404, "session-not-found");
        assert_eq!(
            client.call("DELETE", &path, &key, None).ok()["ended"],
            2,
            "{subject}"
        );
    }
    client
        .call("GET", "/v1/sessions", &key, None)
        .refused(400, "query-malformed");
    client
        .call("DELETE", "/v1/sessions?public_id=x", &key, None)
        .refused(400, "query-malformed");
    client
        .send("GET", "/v1/sessions?subject=a", &[], None)
        .refused(401, "service-key-absent");
    server.stop();
}
