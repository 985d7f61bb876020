//! `/auth`: what a proxy is told, and what it is not.

use crate::client::{Answer, Client};
use crate::server::run;
use crate::{forged, serve};

pub(crate) const FLAGS: [&str; 6] = [
    "--auth-header",
    "role=X-Role",
    "--auth-header",
    "name=X-Name",
    "--auth-header",
    "plan=X-Plan",
];

/// A session of a subject with these fields.
fn create(client: &mut Client, key: &str, body: &str) -> String {
    client.call("POST", "/v1/sessions", key, Some(body)).token()
}

fn ask(client: &mut Client, header: &str, value: &str) -> Answer {
    client.send("GET", "/auth", &[(header, value)], None)
}

#[test]
fn a_proxy_is_told_the_subject_the_reference_and_the_chosen_fields() {
    let (_directory, server) = serve(&FLAGS);
    let (mut client, key) = (server.client(), server.service_key());
    let body = r#"{"subject":"alice","fields":{"role":"admin","plan":{"seats":3},"secret":"hush"}}"#;
    let token = create(&mut client, &key, body);
    for (header, value) in [
        ("Authorization", format!("Bearer {token}")),
        ("Cookie", format!("__Host-tessera={token}")),
        ("Cookie", format!("a=b; tessera={token}")),
    ] {
        let answer = ask(&mut client, header, &value);
        assert_eq!((answer.status, answer.text.as_str()), (200, ""));
        assert_eq!(answer.header("x-session-subject"), Some("alice"));
        assert_eq!(answer.header("x-role"), Some("admin"));
        // An object is no header's value, and a field that is absent leaves no placeholder of the proxy behind.
        assert_eq!(
            (answer.header("x-plan"), answer.header("x-name")),
            (Some(""), Some(""))
        );
        // Or Envoy would pass on what a client claims of itself.
        let removed = answer.header("x-envoy-auth-headers-to-remove");
        assert_eq!(removed, Some("x-name,x-plan"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!format!("{answer:?}").contains("hush"), "{answer:?}");
        // The reference opens nothing, and is no part of the token.
        let public_id = answer.header("x-session-id").expect("a public id").to_owned();
        assert!(!token.contains(&public_id));
        ask(&mut client, "Authorization", &format!("Bearer {public_id}")).refused(401, "token-malformed");
    }
    // Whatever the proxy asks with.
    let headers = [("Authorization", format!("Bearer {token}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    for (method, path) in [("POST", "/auth"), ("PUT", "/auth/deep/er?x=y"), ("GET", "/auth/")] {
        assert_eq!(
            client.send(method, path, &headers, None).status,
            200,
            "{method} {path}"
        );
    }
    server.stop();
}

#[test]
fn who_is_not_logged_in_is_401() {
    let (_directory, server) = serve(&FLAGS);
    let (mut client, key) = (server.client(), server.service_key());
    let token = create(&mut client, &key, r#"{"subject":"alice"}"#);
    client
        .send("GET", "/auth", &[], None)
        .refused(401, "token-absent");
    ask(
        &mut client,
        "Authorization",
        &format!("Bearer {}", forged(&token)),
    )
    .refused(401, "token-mac-wrong");
    ask(&mut client, "Cookie", "__Host-tessera=").refused(401, "token-malformed");
    // A visitor's session has no subject.
    let visitor = create(&mut client, &key, r#"{"fields":{"role":"admin"}}"#);
    let answer = ask(&mut client, "Authorization", &format!("Bearer {visitor}"));
    answer.refused(401, "token-absent");
    assert_eq!(answer.header("x-role"), None);
    client.call("DELETE", "/v1/session", &token, None);
    ask(&mut client, "Authorization", &format!("Bearer {token}")).refused(401, "missing");
    // Never from a URL.
    let other = create(&mut client, &key, r#"{"subject":"alice"}"#);
    client
        .send("GET", &format!("/auth?__Host-tessera={other}"), &[], None)
        .refused(401, "token-absent");
    server.stop();
}

#[test]
fn no_value_becomes_another_header() {
    let (_directory, server) = serve(&FLAGS);
    let (mut client, key) = (server.client(), server.service_key());
    let fields = r#"{"role":"user\r\nX-Role: admin","name":"zoë \u0000%"}"#;
    let token = create(
        &mut client,
        &key,
        &format!(r#"{{"subject":"a b","fields":{fields}}}"#),
    );
    let answer = ask(&mut client, "Authorization", &format!("Bearer {token}"));
    assert_eq!(answer.header("x-session-subject"), Some("a%20b"));
    assert_eq!(answer.header("x-role"), Some("user%0D%0AX-Role:%20admin"));
    assert_eq!(answer.header("x-name"), Some("zo%C3%AB%20%00%25"));
    // One that is too long is no reason to let anybody pass without it.
    let long = format!(
        r#"{{"subject":"alice","fields":{{"role":"{}"}}}}"#,
        "x".repeat(4097)
    );
    let token = create(&mut client, &key, &long);
    ask(&mut client, "Authorization", &format!("Bearer {token}")).refused(500, "other");
    server.stop();
}

#[test]
fn an_outage_is_503() {
    let (_directory, server) = serve(&FLAGS);
    let (mut client, key) = (server.client(), server.service_key());
    let token = create(&mut client, &key, r#"{"subject":"alice"}"#);
    let other = rusqlite::Connection::open(server.data.join("sessions.db")).expect("the file opens");
    other
        .busy_timeout(std::time::Duration::from_secs(5))
        .expect("a timeout");
    other
        .execute_batch("ALTER TABLE records RENAME TO gone")
        .expect("another schema");
    let answer = ask(&mut client, "Authorization", &format!("Bearer {token}"));
    assert_eq!(
        (answer.status, answer.header("x-session-subject")),
        (503, None),
        "{answer:?}"
    );
    other
        .execute_batch("ALTER TABLE gone RENAME TO records")
        .expect("the schema");
    server.stop();
}

#[test]
fn a_jwt_is_made_anew_on_its_way_through_the_proxy() {
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
    let (mut client, key) = (server.client(), server.service_key());
    let token = create(&mut client, &key, r#"{"subject":"alice"}"#);
    let cookie = format!("__Host-tessera={token}");
    assert_eq!(ask(&mut client, "Cookie", &cookie).header("set-cookie"), None);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let answer = ask(&mut client, "Cookie", &cookie);
    let set = answer.header("set-cookie").expect("a new token");
    assert!(
        set.starts_with("__Host-tessera=") && set.contains("; Secure; HttpOnly; SameSite=Lax"),
        "{set}"
    );
    let (renewed, _) = set.split_once(';').expect("attributes");
    assert_ne!(renewed, cookie);
    assert_eq!(ask(&mut client, "Cookie", renewed).status, 200);
    server.stop();
}

/// `serde_json` reads an object with a name of its own as that member's content, and no number beyond a float's.
#[test]
fn a_header_is_a_stored_text_number_or_boolean_and_nothing_that_json_can_be_read_as() {
    let (_directory, server) = serve(&FLAGS);
    let (mut client, key) = (server.client(), server.service_key());
    let trick = r#"{"$serde_json::private::RawValue":"\"admin\""}"#;
    let escaped = r#"{"\u0024serde_json::private::Number":"7"}"#;
    for (stored, header) in [
        (trick, ""),
        (escaped, ""),
        (r#"{"$t":["bytes","AP8"]}"#, ""),
        ("null", ""),
        ("true", "true"),
        ("-7", "-7"),
        (r#"{"$t":["int","9223372036854775807"]}"#, "9223372036854775807"),
        ("2.5", "2.5"),
        (r#""admin""#, "admin"),
    ] {
        let body = format!(r#"{{"subject":"alice","fields":{{"role":{stored},"name":"x"}}}}"#);
        // Escapes are written in one form.
        let stored = stored.replace("\\u0024", "$");
        // Not read as JSON here either.
        let made = client.call("POST", "/v1/sessions", &key, Some(&body)).text;
        let (_, token) = made.split_once(r#""token":""#).expect("a token");
        let token = token.split('"').next().expect("its end").to_owned();
        let answer = ask(&mut client, "Authorization", &format!("Bearer {token}"));
        assert_eq!(
            (answer.status, answer.header("x-role")),
            (200, Some(header)),
            "{stored}"
        );
        assert_eq!(answer.header("x-name"), Some("x"));
        // What was stored is what is read, and an operator sees it.
        let read = client.call("GET", "/v1/session", &token, None);
        assert!(
            read.status == 200 && read.text.contains(&format!(r#""role":{stored}"#)),
            "{read:?}"
        );
        let data = server.data.to_str().expect("UTF-8");
        let (done, shown, said) = run(&["sessions", "show", "--token", &token, "--data", data]);
        let packed: String = shown.split_whitespace().collect();
        assert!(
            done && packed.contains(&format!(r#""role":{stored}"#)),
            "{stored}: {shown}{said}"
        );
        let public_id = answer.header("x-session-id").expect("a public id");
        let by_reference = [
            "sessions",
            "show",
            "--subject",
            "alice",
            "--public-id",
            public_id,
            "--data",
            data,
        ];
        let (done, _, said) = run(&by_reference);
        assert!(done, "{stored}: {said}");
    }
    let unfit = r#"{"subject":"alice","fields":{"role":[1e400]}}"#;
    assert_eq!(client.call("POST", "/v1/sessions", &key, Some(unfit)).status, 422);
    server.stop();
}

/// Whoever holds a token changes its fields, and a proxy vouches for some of them.
#[test]
fn fields_that_are_vouched_for_are_written_by_the_service_alone() {
    let (_directory, server) = serve(&[&FLAGS[..], &["--protected-field", "tier"]].concat());
    let (mut client, key) = (server.client(), server.service_key());
    let body = r#"{"subject":"alice","fields":{"role":"user","tier":"free","theme":"light"}}"#;
    let token = create(&mut client, &key, body);
    let bearer = format!("Bearer {token}");
    let mut change = |body: &str, key: Option<&str>| {
        let mut headers = vec![
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
        ];
        headers.extend(key.map(|key| ("X-Tessera-Service-Key", key)));
        client.send("PATCH", "/v1/session", &headers, Some(body))
    };
    for body in [
        r#"{"set":{"role":"admin"}}"#,
        r#"{"set":{"theme":"dark","tier":"gold"}}"#,
        r#"{"remove":["role"]}"#,
        r#"{"set":{"plan":{}}}"#,
    ] {
        let refused = change(body, None);
        refused.refused(403, "field-protected");
        assert!(
            ["role", "tier", "plan"]
                .iter()
                .any(|name| refused.json()["field"] == *name)
        );
        change(body, Some("tsk_wrong")).refused(403, "service-key-wrong");
    }
    let own = change(r#"{"set":{"theme":"dark"}}"#, None).ok();
    assert_eq!(
        own["fields"],
        serde_json::json!({ "role": "user", "tier": "free", "theme": "dark" })
    );
    let by_service = change(r#"{"set":{"role":"admin"},"remove":["tier"]}"#, Some(&key)).ok();
    assert_eq!(
        by_service["fields"],
        serde_json::json!({ "role": "admin", "theme": "dark" })
    );
    server.stop();
}

#[test]
fn what_options_is_answered_is_the_operators_to_say() {
    let preflight = [
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "PUT"),
    ];
    let (_directory, server) = serve(&FLAGS);
    let refused = server.client().send("OPTIONS", "/auth", &preflight, None);
    refused.refused(401, "token-absent");
    server.stop();

    let mut flags = FLAGS.to_vec();
    flags.extend(["--auth-options", "pass"]);
    let (_directory, server) = serve(&flags);
    let mut client = server.client();
    for path in ["/auth", "/auth/shop?a=b"] {
        let passed = client.send("OPTIONS", path, &preflight, None);
        assert_eq!((passed.status, passed.text.as_str()), (200, ""), "{passed:?}");
        // Nobody is logged in by it.
        for name in ["x-session-subject", "x-session-id", "x-role", "x-name", "x-plan"] {
            assert_eq!(passed.header(name), Some(""), "{name}");
        }
        assert_eq!(
            passed.header("x-envoy-auth-headers-to-remove"),
            Some("x-session-subject,x-session-id,x-role,x-name,x-plan")
        );
        assert_eq!(passed.header("cache-control"), Some("no-store"));
    }
    // What a client says of its method is not believed, unless the proxy says it in that header.
    let claimed = [("X-Forwarded-Method", "OPTIONS")];
    for method in ["GET", "POST"] {
        client
            .send(method, "/auth", &claimed, None)
            .refused(401, "token-absent");
    }
    server.stop();

    flags.extend(["--auth-method-header", "X-Forwarded-Method"]);
    let (_directory, server) = serve(&flags);
    let mut client = server.client();
    assert_eq!(client.send("GET", "/auth", &claimed, None).status, 200);
    for headers in [
        vec![],
        vec![("X-Forwarded-Method", "GET")],
        vec![("X-Forwarded-Method", "GET"), claimed[0]],
        vec![("X-Original-Method", "OPTIONS")],
    ] {
        client
            .send("OPTIONS", "/auth", &headers, None)
            .refused(401, "token-absent");
    }
    server.stop();
}

/// A proxy hands one `Set-Cookie` on: it has to be the one with the token.
#[test]
fn a_renewed_cookie_with_a_domain_is_the_only_one_that_goes_out() {
    let flags = [
        "--token-format",
        "jwt",
        "--issuer",
        "i",
        "--audience",
        "a",
        "--token-lifetime",
        "2s",
        "--transport",
        "cookie:shop;Domain=example.com;Secure",
    ];
    let (_directory, server) = serve(&flags);
    let (mut client, key) = (server.client(), server.service_key());
    let token = create(&mut client, &key, r#"{"subject":"alice"}"#);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let answer = ask(&mut client, "Cookie", &format!("shop={token}"));
    let set: Vec<&str> = answer.all("set-cookie").collect();
    let [set] = set[..] else { panic!("{set:?}") };
    assert!(
        set.starts_with("shop=e") && set.contains("; Domain=example.com;"),
        "{set}"
    );
    server.stop();
}

#[test]
fn a_second_cookie_header_is_nobody_to_a_proxy() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = create(&mut client, &key, r#"{"subject":"alice"}"#);
    let cookie = format!("tessera={token}");
    let twice = [("Cookie", cookie.as_str()), ("Cookie", "a=b")];
    client
        .send("GET", "/auth", &twice, None)
        .refused(401, "header-malformed");
    client
        .send("GET", "/v1/session", &twice, None)
        .refused(400, "header-malformed");
    server.stop();
}
