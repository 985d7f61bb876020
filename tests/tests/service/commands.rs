//! The tools beside the service.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::server::{Server, program, run};
use crate::{forged, place, serve};

/// Runs a command that succeeds.
#[track_caller]
fn done(arguments: &[&str]) -> String {
    let (done, printed, said) = run(arguments);
    assert!(done, "{arguments:?}: {said}");
    printed
}

/// Runs a command that fails and says this.
#[track_caller]
fn failed(arguments: &[&str], said: &str) {
    let (done, printed, complaint) = run(arguments);
    assert!(
        !done && printed.is_empty() && complaint.contains(said),
        "{arguments:?}: {printed}{complaint}"
    );
}

#[test]
fn keys_are_changed_without_logging_anybody_out() {
    let (_directory, server) = serve(&[]);
    let data = server.data.clone();
    let token = server.client().create(&server.service_key(), Some("alice"));
    server.stop();
    let file = data.join("keys.json");
    let path = file.to_str().expect("UTF-8");
    done(&["key", "add", "--id", "newer", "--file", path]);
    failed(
        &["key", "add", "--id", "newer", "--file", path],
        "already has a key newer",
    );
    failed(
        &["key", "new", "--file", path],
        "`tessera key add` adds a key to it",
    );
    failed(
        &["key", "promote", "newest", "--file", path],
        "it has no key newest",
    );
    done(&["key", "promote", "newer", "--file", path]);
    let listed = done(&["key", "list", "--file", path]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(
        lines.len() == 3 && lines[1].ends_with("signs") && lines[2].contains("verifies  20"),
        "{listed}"
    );
    failed(&["key", "new", "--id", "a b"], "a key id is");
    let keys: Value = serde_json::from_str(&fs::read_to_string(&file).expect("keys")).expect("JSON");
    assert_eq!(
        (keys["keys"].as_array().map(Vec::len), &keys["keys"][0]["id"]),
        (Some(2), &json!("newer"))
    );

    let server = Server::start(&data, &[]);
    assert!(server.printed.contains("newer signs"), "{}", server.printed);
    let (mut client, key) = (server.client(), server.service_key());
    client.call("GET", "/v1/session", &token, None).ok();
    assert!(client.create(&key, None).starts_with("ts1.newer."));
    server.stop();

    // The old key is taken out: its tokens are refused, and nothing else.
    let only = json!({ "keys": [keys["keys"][0]] }).to_string();
    fs::write(&file, only).expect("written");
    let server = Server::start(&data, &[]);
    server
        .client()
        .call("GET", "/v1/session", &token, None)
        .refused(401, "token-key-unknown");
    server.stop();

    let printed: Value = serde_json::from_str(&done(&["key", "new"])).expect("JSON");
    assert_eq!(printed["keys"][0]["secret"].as_str().map(str::len), Some(43));
}

#[test]
fn tokens_are_inspected_and_verified() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    let public_id = client.call("GET", "/v1/session", &token, None).ok()["public_id"].clone();
    let keys = server.data.join("keys.json");
    let keys = keys.to_str().expect("UTF-8");

    let (ok, printed, said) = run(&["token", "inspect", &forged(&token)]);
    assert!(ok && said.contains("not verified"), "{said}");
    let inspected: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(
        (&inspected["public_id"], &inspected["format"]),
        (&public_id, &json!("compact"))
    );
    assert!(
        !printed.contains(&token.split('.').nth(2).expect("a payload")[..21]),
        "{printed}"
    );
    let verified: Value =
        serde_json::from_str(&done(&["token", "verify", &token, "--key-file", keys])).expect("JSON");
    assert_eq!(verified["public_id"], public_id);
    failed(
        &["token", "verify", &forged(&token), "--key-file", keys],
        "its signature does not match",
    );
    failed(
        &["token", "verify", &token, "--key-file", keys, "--issuer", "other"],
        "its signature does not match",
    );
    failed(
        &["token", "verify", &token, "--key-file", "/nowhere"],
        "there is no file /nowhere",
    );
    failed(&["token", "inspect", "x.y"], "neither a compact token nor a JWT");
    server.stop();

    let flags = ["--token-format", "jwt", "--issuer", "i", "--audience", "a"];
    let (_directory, server) = serve(&flags);
    let token = server.client().create(&server.service_key(), Some("alice"));
    let printed: Value = serde_json::from_str(&done(&["token", "inspect", &token])).expect("JSON");
    assert_eq!(
        (&printed["claims"]["sub"], &printed["claims"]["sid"]),
        (&json!("alice"), &Value::Null)
    );
    assert!(printed["claims"]["public_id"].is_string());
    let keys = server.data.join("keys.json");
    let mut arguments = vec![
        "token",
        "verify",
        &token,
        "--key-file",
        keys.to_str().expect("UTF-8"),
    ];
    failed(&arguments, "malformed");
    arguments.extend(flags);
    assert!(done(&arguments).contains("alice"));
    server.stop();
}

#[test]
fn an_operator_sees_and_ends_sessions_beside_a_running_server() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let data = server.data.to_str().expect("UTF-8").to_owned();
    let tokens: Vec<String> = ["alice", "alice", "bob"]
        .iter()
        .map(|name| client.create(&key, Some(name)))
        .collect();
    let nobody = client.create(&key, None);
    client
        .call(
            "PATCH",
            "/v1/session",
            &tokens[0],
            Some(r#"{"set":{"n":9007199254740993}}"#),
        )
        .ok();
    let own = client.call("GET", "/v1/session", &tokens[0], None).ok()["public_id"]
        .as_str()
        .expect("one")
        .to_owned();
    let in_data = |arguments: &[&'static str]| {
        let mut all: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        all.extend(["--data".into(), data.clone()]);
        all
    };
    let run_in = |arguments: &[&'static str], more: &[&str]| {
        let mut all = in_data(arguments);
        all.extend(more.iter().map(|argument| (*argument).to_owned()));
        run(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };

    assert!(run_in(&["sessions", "count"], &[]).1.contains("live 4\n"));
    let (_, listed, _) = run_in(&["sessions", "list"], &[]);
    assert_eq!(
        (listed.lines().count(), listed.contains(&own)),
        (5, true),
        "{listed}"
    );
    for token in tokens.iter().chain([&nobody]) {
        assert!(
            !listed.contains(&token.split('.').nth(2).expect("a payload")[..21]),
            "{listed}"
        );
    }
    assert_eq!(
        run_in(&["sessions", "list"], &["--subject", "alice"])
            .1
            .lines()
            .count(),
        3
    );

    for which in [
        vec!["--subject", "alice", "--public-id", &own],
        vec!["--token", &tokens[0]],
    ] {
        let (shown, printed, said) = run_in(&["sessions", "show"], &which);
        assert!(shown, "{said}");
        let printed: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(
            (&printed["subject"], &printed["public_id"]),
            (&json!("alice"), &json!(own))
        );
        assert_eq!(
            printed["fields"],
            json!({ "n": { "$t": ["int", "9007199254740993"] } })
        );
    }
    assert!(
        run_in(&["sessions", "show"], &["--subject", "bob", "--public-id", &own])
            .2
            .contains("no such session")
    );
    assert!(run_in(&["sessions", "show"], &[]).2.contains("--subject"));

    let (ended, printed, said) = run_in(
        &["sessions", "revoke"],
        &["--subject", "alice", "--public-id", &own],
    );
    assert!(ended && printed == "ended 1\n", "{printed}{said}");
    client
        .call("GET", "/v1/session", &tokens[0], None)
        .refused(401, "missing");
    client.call("GET", "/v1/session", &tokens[1], None).ok();
    assert_eq!(
        run_in(&["sessions", "revoke"], &["--subject", "alice"]).1,
        "ended 1\n"
    );
    client
        .call("GET", "/v1/session", &tokens[1], None)
        .refused(401, "missing");
    client.call("GET", "/v1/session", &tokens[2], None).ok();
    server.stop();

    let (_directory, nowhere) = place();
    failed(
        &["sessions", "count", "--data", nowhere.to_str().expect("UTF-8")],
        "there is no file",
    );
    failed(
        &["sessions", "count", "--store", "memory:"],
        "lives in the server's own process",
    );
}

#[test]
fn the_component_comes_out_as_it_is() {
    let (_directory, data) = place();
    let path = data.with_extension("wasm");
    done(&["component", "export", path.to_str().expect("UTF-8")]);
    let component = fs::read(&path).expect("a file");
    assert!(component.starts_with(b"\0asm"));
    let digest: String = Sha256::digest(&component)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(done(&["component", "sha256"]).trim(), digest);
    let wit = done(&["component", "wit"]);
    assert_eq!(wit.matches("package tessera:session").count(), 1);
    for part in [
        "world engine {",
        "interface store {",
        "interface sessions {",
        "interface policy {",
    ] {
        assert!(wit.contains(part), "{part}");
    }
    failed(
        &["component", "export", "/nowhere/x.wasm"],
        "cannot write /nowhere/x.wasm: No such file",
    );
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let mut child = Command::new(program())
        .args(["component", "export", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
