//! One login for all hosts: a session made at the edge is opened by the hosts in Rust and Python, and the other way round.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tessera::store::{
    Capabilities, MemoryStore, Placement, SqliteStore, Store, StoreOp, StoreReply, StoreService,
};
use tessera::{Sessions, Timestamp, TokenFormat};
use tessera_tests::edge::{Remote, SERVICE_KEY, SIGNING_KEY};
use tessera_tests::python::python;

use crate::start;

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "shop";

/// The key of the record of the session that a token names.
fn record_key(token: &str) -> String {
    let segments: Vec<&str> = token.split('.').collect();
    let decode = |segment: &str| URL_SAFE_NO_PAD.decode(segment).expect("base64url");
    let id = match segments[..] {
        ["ts1", _, payload, _] => URL_SAFE_NO_PAD.encode(&decode(payload)[..16]),
        [_, claims, _] => {
            let claims: Value = serde_json::from_slice(&decode(claims)).expect("claims");
            claims["sid"].as_str().expect("a session id").to_owned()
        }
        _ => panic!("it is no token"),
    };
    format!("tessera:{id}")
}

/// Copies one record with nothing changed but its version.
async fn copy(from: &impl Store, to: &impl Store, key: &str, owner: &str) {
    let now = Timestamp::now();
    let entry = from.get(now, key, true).await.expect("the record");
    let at = Placement {
        owner: Some(owner.into()),
        previous_owner: None,
        guard: Some(entry.guard),
        expires_at: entry.expires_at,
        ends_at: entry
            .expires_at
            .saturating_add(std::time::Duration::from_secs(3600)),
    };
    to.insert(now, key, &entry.value, &at).await.expect("the copy");
}

fn host(store: impl StoreService, format: TokenFormat) -> Sessions {
    let builder = Sessions::builder();
    let builder = builder
        .signing_key(SIGNING_KEY.0, SIGNING_KEY.1)
        .policy(|policy| {
            policy.token_format = format;
            policy.issuer = ISSUER.into();
            policy.audience = AUDIENCE.into();
        });
    builder.build(store).expect("the sessions")
}

/// A memory store that the test and the host share.
#[derive(Clone)]
struct Shared(std::sync::Arc<MemoryStore>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_the_edge_is_opened_by_the_rust_host_and_the_other_way_round_in_both_formats() {
    for (format, name) in [(TokenFormat::Compact, "compact"), (TokenFormat::Jwt, "jwt")] {
        let worker = start(&json!({
            "TESSERA_TOKEN_FORMAT": name,
            "TESSERA_ISSUER": ISSUER,
            "TESSERA_AUDIENCE": AUDIENCE,
        }));
        let edge = Remote::of_service(&worker, "durable").expect("the Worker's store");

        let body =
            json!({"subject": "alice", "fields": {"role": "admin", "n": 7, "list": [1, 2.5]}}).to_string();
        let made = worker
            .client()
            .call("POST", "/v1/sessions", SERVICE_KEY, Some(&body))
            .token();
        assert_eq!(made.starts_with("ts1."), format == TokenFormat::Compact, "{name}");
        let memory = MemoryStore::new();
        copy(&edge, &memory, &record_key(&made), "alice").await;
        let sessions = host(memory, format);
        let opened = sessions.open(&made).await.expect("the host opens it");
        assert_eq!(
            opened.details().expect("details").subject.as_deref(),
            Some("alice")
        );
        assert_eq!(
            opened.get::<String>("role").expect("a field").as_deref(),
            Some("admin")
        );
        assert_eq!(
            opened.entries_json().expect("fields"),
            r#"{"list":[1,2.5],"n":7,"role":"admin"}"#
        );

        let shared = std::sync::Arc::new(MemoryStore::new());
        let sessions = host(Shared(std::sync::Arc::clone(&shared)), format);
        let session = sessions.create();
        session.set("city", "Köln").expect("a field");
        let grant = session.authenticate("bob").await.expect("a login");
        let token = grant.token.expect("a token");
        copy(&*shared, &edge, &record_key(&token), "bob").await;
        let read = worker.client().call("GET", "/v1/session", &token, None).ok();
        assert_eq!(
            (&read["subject"], &read["fields"]["city"]),
            (&json!("bob"), &json!("Köln")),
            "{name}"
        );
        // And it goes on there.
        let change = json!({"set": {"city": "Bonn"}}).to_string();
        let changed = worker
            .client()
            .call("PATCH", "/v1/session", &token, Some(&change))
            .ok();
        assert_eq!(changed["fields"]["city"], "Bonn");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_the_edge_is_opened_by_python_and_the_other_way_round_in_both_formats() {
    for name in ["compact", "jwt"] {
        let worker = start(&json!({
            "TESSERA_TOKEN_FORMAT": name,
            "TESSERA_ISSUER": ISSUER,
            "TESSERA_AUDIENCE": AUDIENCE,
        }));
        let edge = Remote::of_service(&worker, "durable").expect("the Worker's store");
        let fields = json!({"role": "admin", "n": 7, "list": [1, 2.5]});
        let body = json!({"subject": "alice", "fields": fields}).to_string();
        let made = worker
            .client()
            .call("POST", "/v1/sessions", SERVICE_KEY, Some(&body))
            .token();

        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("sessions.db");
        let file = SqliteStore::open(&path).expect("a file");
        copy(&edge, &file, &record_key(&made), "alice").await;
        file.close().expect("closed");
        let mut command = python(Path::new("tests/of_worker.py"));
        let output = command
            .arg(&path)
            .args([name, &made])
            .output()
            .expect("Python runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            printed["read"],
            json!({"subject": "alice", "fields": fields}),
            "{name}"
        );

        let token = printed["token"].as_str().expect("a token");
        let file = SqliteStore::open(&path).expect("the file");
        copy(&file, &edge, &record_key(token), "bob").await;
        let read = worker.client().call("GET", "/v1/session", token, None).ok();
        assert_eq!(read["subject"], "bob", "{name}");
        assert_eq!(
            read["fields"],
            json!({"city": "Köln", "list": [1, 2.5]}),
            "{name}"
        );
    }
}

impl StoreService for Shared {
    fn describe(&self) -> Capabilities {
        StoreService::describe(&*self.0)
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        self.0.call(now, op).await
    }
}
