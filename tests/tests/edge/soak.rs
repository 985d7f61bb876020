//! Many requests at once on one isolate, and how much it holds when they are done.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tessera_tests::edge::{SERVICE_KEY, Worker};
use tessera_tests::http_client::Client;

use crate::{nothing, order, start, state, tell};

const CLIENTS: u64 = 40;
/// `TESSERA_SOAK_REQUESTS` asks for more: `cargo xtask soak-edge` for 50 000.
const REQUESTS: u64 = 3000;
/// How much more memory may be taken at the end than when it was warm: a page is 64 KiB.
const GROWTH_BYTES: u64 = 4 << 20;

/// Numbers that are the same in every run (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// One client's requests: open, save, rotate, log in, destroy, list, and what is forged. Answers what was not as expected.
fn requests(worker: &Worker, seed: u64, left: &AtomicU64) -> Vec<String> {
    let (mut client, mut numbers, mut wrong) = (worker.client(), Numbers(seed * 7919 + 1), Vec::new());
    let subject = format!("subject {}", seed % 8);
    let mut token = client.create(SERVICE_KEY, Some(&subject));
    let mut saved = 0;
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
    {
        let (answer, expected): (_, &[u16]) = match numbers.below(20) {
            0..10 => (client.call("GET", "/v1/session", &token, None), &[200]),
            10..14 => {
                saved += 1;
                let body = json!({"set": { "n": saved, "text": "x".repeat(numbers.below(2000) as usize) }});
                (
                    client.call("PATCH", "/v1/session", &token, Some(&body.to_string())),
                    &[200],
                )
            }
            14..16 => (
                client.call("POST", "/v1/session/rotate", &token, Some("{}")),
                &[200],
            ),
            16 => (client.call("GET", "/auth", &token, None), &[200]),
            17 => {
                let path = format!("/v1/subjects/{}/sessions", subject.replace(' ', "%20"));
                (client.call("GET", &path, SERVICE_KEY, None), &[200])
            }
            18 => (
                client.call("GET", "/v1/session", "ts1.2026-01.AAAA.AAAA", None),
                &[401],
            ),
            _ => {
                let ended = client.call("DELETE", "/v1/session", &token, None);
                if ended.status == 204 {
                    token = client.create(SERVICE_KEY, Some(&subject));
                    saved = 0;
                }
                (ended, &[204])
            }
        };
        if !expected.contains(&answer.status) {
            wrong.push(format!("{answer:?}"));
            continue;
        }
        if let (200, Ok(body)) = (
            answer.status,
            serde_json::from_str::<serde_json::Value>(&answer.text),
        ) {
            if let Some(new) = body["token"].as_str() {
                token = new.to_owned();
            }
            if let (Some(n), true) = (body["fields"]["n"].as_u64(), saved > 0)
                && n != saved
            {
                wrong.push(format!("a save was lost: {n} is read, {saved} was saved"));
            }
        }
    }
    end(&mut client, &token);
    wrong
}

fn end(client: &mut Client, token: &str) {
    client.call("DELETE", "/v1/session", token, None);
}

fn run(worker: &Worker, requests_in_all: u64) -> Vec<String> {
    let (left, wrong) = (AtomicU64::new(requests_in_all), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for seed in 0..CLIENTS {
            let (left, wrong) = (&left, &wrong);
            scope.spawn(move || {
                let found = requests(worker, seed, left);
                wrong.lock().expect("no thread panicked").extend(found);
            });
        }
    });
    wrong.into_inner().expect("no thread panicked")
}

#[test]
fn forty_clients_at_once_over_slow_storage_are_all_answered_and_leave_nothing_behind() {
    soak(&nothing());
}

#[test]
fn forty_clients_at_once_over_slow_kv_are_all_answered_and_leave_nothing_behind() {
    soak(&json!({"TESSERA_STORE": "kv", "TESSERA_ROTATION_GRACE": "60s"}));
}

fn soak(variables: &serde_json::Value) {
    let wanted = std::env::var("TESSERA_SOAK_REQUESTS")
        .ok()
        .and_then(|count| count.parse().ok());
    let count: u64 = wanted.unwrap_or(REQUESTS);
    let worker = start(variables);
    order(&worker, &json!({"slow-ms": 2}));
    let warm_up = run(&worker, 500);
    assert!(warm_up.is_empty(), "{warm_up:?}");
    let before = state(&worker);
    let began = std::time::Instant::now();
    let wrong = run(&worker, count);
    let (took, after) = (began.elapsed(), state(&worker));
    tell(&format!(
        "soak {variables}: {count} requests of {CLIENTS} clients in {:.1} s, {} not as expected; before {before}, after {after}",
        took.as_secs_f32(),
        wrong.len()
    ));
    assert!(
        wrong.is_empty(),
        "{} of {count}: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
    assert_eq!(after["under-way"], 1, "requests are held: {after}");
    for memory in ["worker-bytes", "component-bytes"] {
        let bytes = |state: &serde_json::Value| state[memory].as_f64().unwrap_or(f64::MAX) as u64;
        assert!(
            bytes(&after) <= bytes(&before) + GROWTH_BYTES,
            "{memory} grows: {before}, {after}"
        );
    }
}
