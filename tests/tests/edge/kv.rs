//! Workers KV alone: what its weaker contract still keeps, and what it says where it cannot.

use serde_json::{Value, json};
use tessera_tests::edge::{SERVICE_KEY, Worker};

use crate::{nothing, order, start};

fn kv_alone(more: &Value) -> Worker {
    let mut variables = json!({"TESSERA_STORE": "kv", "TESSERA_ROTATION_GRACE": "60s"});
    for (name, value) in more.as_object().into_iter().flatten() {
        variables[name] = value.clone();
    }
    start(&variables)
}

fn status(worker: &Worker, token: &str) -> u16 {
    worker.client().call("GET", "/v1/session", token, None).status
}

fn sessions(worker: &Worker) -> usize {
    let path = "/v1/subjects/alice/sessions";
    let listed = worker.client().call("GET", path, SERVICE_KEY, None).ok();
    listed["sessions"].as_array().map_or(0, Vec::len)
}

/// In another place, KV goes on showing what was there: a save made there does not undo the logout.
#[test]
fn a_save_that_has_not_seen_the_logout_does_not_undo_it() {
    let worker = kv_alone(&nothing());
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let change = json!({"set": {"n": 1}}).to_string();
    order(&worker, &json!({"stale-reads": 100}));
    let ended = worker.client().call("DELETE", "/v1/session", &token, None);
    assert_eq!(ended.status, 204, "{ended:?}");
    // Ended, and shown all the same for as long as `describe` says.
    assert_eq!(
        status(&worker, &token),
        200,
        "KV was not stale, and nothing was shown"
    );
    worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&change))
        .ok();
    settle(&worker);
    assert_eq!(status(&worker, &token), 401);
    assert_eq!(sessions(&worker), 0);
}

/// The same for a login: what was saved under the old id is not what the new one has, and the old token is worth nothing.
#[test]
fn a_save_that_has_not_seen_the_login_does_not_undo_it() {
    let worker = kv_alone(&nothing());
    let token = worker.client().create(SERVICE_KEY, None);
    order(&worker, &json!({"stale-reads": 100}));
    let new = login(&worker, &token);
    // Nobody has read it before, so that it is shown at once wherever it is asked for.
    let read = worker.client().call("GET", "/v1/session", &new, None).ok();
    assert_eq!(read["subject"], "alice");
    let change = json!({"set": {"planted": 1}}).to_string();
    worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&change))
        .ok();
    settle(&worker);
    worker
        .client()
        .call("GET", "/v1/session", &token, None)
        .refused(401, "missing");
    let read = worker.client().call("GET", "/v1/session", &new, None).ok();
    assert_eq!((&read["subject"], &read["fields"]), (&json!("alice"), &json!({})));
}

#[test]
fn a_renewal_keeps_the_session_for_both_tokens_and_a_logout_ends_it_for_both() {
    let worker = kv_alone(&nothing());
    let mut client = worker.client();
    let old = client.create(SERVICE_KEY, Some("alice"));
    client
        .call("PATCH", "/v1/session", &old, Some(r#"{"set":{"a":1}}"#))
        .ok();
    let renewed = client.call("POST", "/v1/session/rotate", &old, Some("{}")).ok();
    let new = renewed["token"].as_str().expect("a token").to_owned();
    client
        .call("PATCH", "/v1/session", &old, Some(r#"{"set":{"b":2}}"#))
        .ok();
    let read = client.call("GET", "/v1/session", &new, None).ok();
    assert_eq!(read["fields"], json!({"a": 1, "b": 2}));
    assert_eq!(sessions(&worker), 1);
    let ended = client.call("DELETE", "/v1/session", &old, None);
    assert_eq!(ended.status, 204, "{ended:?}");
    for token in [&old, &new] {
        client
            .call("GET", "/v1/session", token, None)
            .refused(401, "missing");
    }
    assert_eq!(sessions(&worker), 0);
}

/// A renewal is a write as well: what it makes of a session that has ended elsewhere is dead.
#[test]
fn a_renewal_that_has_not_seen_the_logout_or_the_login_does_not_undo_it() {
    let worker = kv_alone(&nothing());
    let mut client = worker.client();
    let logged_out = client.create(SERVICE_KEY, Some("alice"));
    let stepped_up = client.create(SERVICE_KEY, Some("alice"));
    order(&worker, &json!({"stale-reads": 100}));
    let ended = client.call("DELETE", "/v1/session", &logged_out, None);
    assert_eq!(ended.status, 204, "{ended:?}");
    let new = login(&worker, &stepped_up);
    // From here on what is written is shown, as in the place where it is done; what was written elsewhere is not.
    order(&worker, &nothing());
    let renewed = [&logged_out, &stepped_up].map(|token| {
        let renewed = client.call("POST", "/v1/session/rotate", token, Some("{}")).ok();
        renewed["token"].as_str().expect("a token").to_owned()
    });
    settle(&worker);
    for token in [&logged_out, &stepped_up, &renewed[0], &renewed[1]] {
        client
            .call("GET", "/v1/session", token, None)
            .refused(401, "missing");
    }
    client.call("GET", "/v1/session", &new, None).ok();
    assert_eq!(sessions(&worker), 1);
}

#[test]
fn renewals_at_once_lead_to_one_session_and_a_logout_ends_it_for_all() {
    let worker = kv_alone(&nothing());
    for _ in 0..5 {
        let token = worker.client().create(SERVICE_KEY, Some("alice"));
        order(&worker, &json!({"slow-ms": 5}));
        let renewed: Vec<String> = std::thread::scope(|scope| {
            let renew = || {
                let path = "/v1/session/rotate";
                let answer = worker.client().call("POST", path, &token, Some("{}")).ok();
                answer["token"].as_str().expect("a token").to_owned()
            };
            let asked: Vec<_> = (0..4).map(|_| scope.spawn(renew)).collect();
            asked
                .into_iter()
                .map(|asked| asked.join().expect("no thread panicked"))
                .collect()
        });
        order(&worker, &nothing());
        assert_eq!(sessions(&worker), 1);
        for token in &renewed {
            assert_eq!(status(&worker, token), 200);
        }
        let ended = worker.client().call("DELETE", "/v1/session", &renewed[0], None);
        assert_eq!(ended.status, 204, "{ended:?}");
        for token in renewed.iter().chain([&token]) {
            assert_eq!(status(&worker, token), 401);
        }
    }
}

/// KV takes one write to a key each second, and says so of the next.
#[test]
fn what_kv_refuses_with_429_is_told_as_such_and_nothing_is_lost() {
    let worker = kv_alone(&nothing());
    let mut client = worker.client();
    let token = client.create(SERVICE_KEY, Some("alice"));
    let change = |n: u32| json!({"set": { "n": n }}).to_string();
    client.call("PATCH", "/v1/session", &token, Some(&change(1))).ok();
    order(&worker, &json!({"throttled": 1}));
    let refused = client.call("PATCH", "/v1/session", &token, Some(&change(2)));
    refused.refused(503, "throttled");
    assert_eq!(refused.all("retry-after").next(), Some("1"));
    let read = client.call("GET", "/v1/session", &token, None).ok();
    assert_eq!(read["fields"]["n"], 1);
    client.call("PATCH", "/v1/session", &token, Some(&change(3))).ok();
    order(&worker, &json!({"throttled": 1}));
    client
        .call("DELETE", "/v1/session", &token, None)
        .refused(503, "throttled");
    assert_eq!(status(&worker, &token), 200, "it was said not to be ended");
    assert_eq!(client.call("DELETE", "/v1/session", &token, None).status, 204);
    assert_eq!(status(&worker, &token), 401);
}

/// The handle of a session that has moved names the record where it lies now.
#[test]
fn a_jwt_is_made_anew_for_a_session_that_has_moved() {
    let worker = kv_alone(&json!({
        "TESSERA_TOKEN_FORMAT": "jwt",
        "TESSERA_ISSUER": "https://a.example",
        "TESSERA_AUDIENCE": "b",
        "TESSERA_TOKEN_LIFETIME": "2s",
    }));
    let mut client = worker.client();
    let old = client.create(SERVICE_KEY, Some("alice"));
    let renewed = client.call("POST", "/v1/session/rotate", &old, Some("{}")).ok();
    assert!(renewed["token"].is_string(), "{renewed}");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let again = client
        .call("PATCH", "/v1/session", &old, Some(r#"{"set":{"a":1}}"#))
        .ok();
    let new = again["token"].as_str().expect("a token made anew").to_owned();
    let read = client.call("GET", "/v1/session", &new, None).ok();
    assert_eq!(read["fields"]["a"], 1);
}

/// Logs Alice in, and answers the new token.
fn login(worker: &Worker, token: &str) -> String {
    let login = worker.client().send(
        "POST",
        "/v1/session/authenticate",
        &[
            ("Authorization", &tessera_tests::http_client::bearer(token)),
            ("X-Tessera-Service-Key", SERVICE_KEY),
        ],
        Some(r#"{"subject":"alice"}"#),
    );
    login.ok()["token"].as_str().expect("a token").to_owned()
}

/// KV has caught up everywhere.
fn settle(worker: &Worker) {
    worker.ask("POST", "/test/settle", None).expect("settled");
    order(worker, &nothing());
}
