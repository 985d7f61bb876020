//! What is accepted and what is not, on both sides of each limit.

use serde_json::json;

use crate::serve;
use crate::server::Server;

/// The longest bodies by the starting policy: each byte of what they may hold escaped, and 4 KiB.
const FIELDS_BYTES: usize = 3 * (65_536 + 256 * 128) + 4096;
const TOKEN_BYTES: usize = 3 * 4096 + 4096;
const EMPTY_BYTES: usize = 4096;

fn patch(server: &Server, token: &str, body: &str) -> crate::client::Answer {
    server.client().call("PATCH", "/v1/session", token, Some(body))
}

#[test]
fn limits_hold_to_the_byte() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, None);
    let set = |name: &str, value: &str| json!({ "set": { name: value } }).to_string();

    // A whole body, white space included.
    let body = |bytes: usize| format!("{}{}", r#"{"set":{"a":1}}"#, " ".repeat(bytes - 15));
    patch(&server, &token, &body(FIELDS_BYTES)).ok();
    let large = patch(&server, &token, &body(FIELDS_BYTES + 1));
    assert_eq!(
        large.refused(413, "body-too-large").json()["maximum"],
        FIELDS_BYTES
    );
    for (path, caller, least, maximum) in [
        ("/v1/sessions", &key, "{}".to_owned(), FIELDS_BYTES),
        (
            "/v1/verify",
            &key,
            json!({ "token": token }).to_string(),
            TOKEN_BYTES,
        ),
        ("/v1/session/rotate", &token, "{}".to_owned(), EMPTY_BYTES),
    ] {
        let padded = |bytes: usize| format!("{least}{}", " ".repeat(bytes - least.len()));
        let send = |body: &str| server.client().call("POST", path, caller, Some(body));
        send(&padded(maximum)).ok();
        let large = send(&padded(maximum + 1)).refused(413, "body-too-large").json();
        assert_eq!(large["maximum"], maximum, "{path}");
    }

    // More names than a session can have are refused before anything is done for them.
    let names = |count: usize| (0..count).map(|n| format!("f{n}")).collect::<Vec<_>>();
    patch(&server, &token, &json!({ "remove": names(256) }).to_string()).ok();
    let many = patch(&server, &token, &json!({ "remove": names(257) }).to_string());
    let many = many.refused(413, "limit-exceeded").json();
    assert_eq!(
        (&many["limit"], &many["maximum"]),
        (&json!("maximum-fields"), &json!(256))
    );

    patch(&server, &token, &set(&"n".repeat(128), "")).ok();
    let long = patch(&server, &token, &set(&"n".repeat(129), ""));
    let long = long.refused(413, "limit-exceeded").json();
    assert_eq!(
        (&long["limit"], &long["maximum"]),
        (&json!("maximum-name-bytes"), &json!(128))
    );

    // Its JSON text, quotes included.
    patch(&server, &token, &set("v", &"v".repeat(16_382))).ok();
    let long = patch(&server, &token, &set("v", &"v".repeat(16_383)));
    assert_eq!(
        long.refused(413, "limit-exceeded").json()["limit"],
        "maximum-value-bytes"
    );

    // The record: refused when it is set or when it is saved.
    let fields = |count: usize| {
        (0..count)
            .map(|n| (format!("f{n}"), "v".repeat(16_000).into()))
            .collect::<serde_json::Map<_, _>>()
    };
    let other = client.create(&key, None);
    patch(&server, &other, &json!({ "set": fields(4) }).to_string()).ok();
    let long = patch(&server, &other, &json!({ "set": fields(5) }).to_string());
    assert_eq!(
        long.refused(413, "limit-exceeded").json()["limit"],
        "maximum-record-bytes"
    );

    let fields = |count: usize| {
        (0..count)
            .map(|n| (format!("f{n}"), n.into()))
            .collect::<serde_json::Map<_, _>>()
    };
    let other = client.create(&key, None);
    patch(&server, &other, &json!({ "set": fields(256) }).to_string()).ok();
    let many = patch(&server, &other, &json!({ "set": { "one more": 1 } }).to_string());
    assert_eq!(
        many.refused(413, "limit-exceeded").json()["limit"],
        "maximum-fields"
    );

    let login = |subject: String| json!({ "subject": subject }).to_string();
    client
        .call("POST", "/v1/sessions", &key, Some(&login("s".repeat(255))))
        .ok();
    let long = client.call("POST", "/v1/sessions", &key, Some(&login("s".repeat(256))));
    assert_eq!(
        long.refused(422, "invalid-argument").json()["argument"],
        "subject"
    );

    let head = "x".repeat(40_000);
    assert_eq!(
        client
            .send("GET", "/healthz", &[("X-Padding", &head[..20_000])], None)
            .status,
        200
    );
    assert_eq!(
        client
            .send("GET", "/healthz", &[("X-Padding", &head)], None)
            .status,
        431
    );
    server.stop();
}

#[test]
fn bodies_are_refused_with_what_is_wrong() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, None);
    patch(&server, &token, r#"{"set":{"kept":1}}"#).ok();
    for (body, status, code, said) in [
        ("{", 400, "json-malformed", "ends early"),
        ("{\"set\":}", 400, "json-malformed", "line 1, column 8"),
        ("[]", 400, "json-malformed", "not one JSON object"),
        ("{} {}", 400, "json-malformed", "not JSON"),
        (r#"{"set":{},"set":{}}"#, 400, "json-malformed", "duplicate name"),
        (
            r#"{"sett":{}}"#,
            422,
            "unknown-member",
            "unknown member `sett`; known members: `set`, `remove`",
        ),
        (r#"{"set":[1]}"#, 422, "invalid-member", "`set` must be an object"),
        (
            r#"{"set":{"a":1,"a":2}}"#,
            422,
            "invalid-member",
            "each named once",
        ),
        (
            r#"{"remove":"a"}"#,
            422,
            "invalid-member",
            "`remove` must be an array of strings",
        ),
        (r#"{"set":{"a":1},"remove":["a"]}"#, 422, "invalid-member", "both"),
        (r#"{"set":{"":1}}"#, 422, "invalid-argument", "empty"),
        (r#"{"set":{"a\u0000":1}}"#, 422, "invalid-argument", "control"),
        (
            r#"{"set":{"a":18446744073709551615}}"#,
            422,
            "invalid-value",
            "64-bit",
        ),
        (
            r#"{"set":{"a":1e999}}"#,
            422,
            "invalid-value",
            "exceeds the range of a float",
        ),
        (r#"{"set":{"a":"\ud800"}}"#, 422, "invalid-value", "surrogate"),
        (
            r#"{"set":{"a":{"b":1,"b":2}}}"#,
            422,
            "invalid-value",
            "duplicate name",
        ),
        (
            r#"{"set":{"a":{"$t":["date",1]}}}"#,
            422,
            "invalid-value",
            "`$t` must be",
        ),
    ] {
        let refused = patch(&server, &token, body);
        refused.refused(status, code);
        assert!(refused.text.contains(said), "{body}: {}", refused.text);
    }
    let deep = format!(r#"{{"set":{{"a":{}{}}}}}"#, "[".repeat(65), "]".repeat(65));
    patch(&server, &token, &deep).refused(422, "invalid-value");
    let deeper = format!(
        r#"{{"set":{{"a":{}{}}}}}"#,
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    assert!(matches!(patch(&server, &token, &deeper).status, 400 | 413 | 422));

    let bearer = crate::client::bearer(&token);
    let form = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    client
        .send("PATCH", "/v1/session", &form, Some("set=1"))
        .refused(415, "not-json");
    client
        .call("POST", "/v1/session/rotate", &token, Some(r#"{"a":1}"#))
        .refused(422, "unknown-member");
    client
        .call("PUT", "/v1/session", &token, None)
        .refused(405, "method-not-allowed");
    client
        .call("GET", "/v1/nothing", &token, None)
        .refused(404, "not-found");
    // Of all that was refused nothing was stored.
    assert_eq!(
        client.call("GET", "/v1/session", &token, None).ok()["fields"],
        json!({ "kept": 1 })
    );
    server.stop();
}
