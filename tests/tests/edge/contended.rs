//! Many writers of one session at once, over Durable Objects.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tessera_tests::edge::SERVICE_KEY;

use crate::{nothing, start, tell};

const ROUNDS: usize = 4;
const SAVES: usize = 50;
/// Of all saves in `ROUNDS`. With pauses of at most 50 ms, 115 to 140 of 200 were refused; with the present ones none, and 5
/// to 9 where each operation of the storage took 30 ms longer. A machine that is busy with other tests lies between the two.
const MAXIMUM_REFUSED: usize = ROUNDS * SAVES / 4;

#[test]
fn fifty_parallel_saves_of_different_fields_are_all_stored_where_they_were_acknowledged() {
    let worker = start(&nothing());
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    for _ in 0..ROUNDS {
        let token = worker.client().create(SERVICE_KEY, Some("alice"));
        let save = |n: usize| {
            let change = json!({"set": {format!("field{n}"): n}}).to_string();
            let begun = Instant::now();
            let answer = worker
                .client()
                .call("PATCH", "/v1/session", &token, Some(&change));
            (answer, begun.elapsed())
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let saves: Vec<_> = (0..SAVES).map(|n| scope.spawn(move || save(n))).collect();
            saves
                .into_iter()
                .map(|save| save.join().expect("no thread panicked"))
                .collect()
        });
        let read = worker.client().call("GET", "/v1/session", &token, None).ok();
        for (n, (answer, took)) in answers.iter().enumerate() {
            slowest = slowest.max(*took);
            let stored = &read["fields"][format!("field{n}")];
            if answer.status == 200 {
                assert_eq!(*stored, json!(n), "an acknowledged save is lost: {read}");
            } else {
                answer.refused(409, "contended");
                assert!(stored.is_null(), "a refused save is stored: {read}");
                refused += 1;
            }
        }
    }
    tell(&format!(
        "contended: {refused} of {} saves are refused, the slowest answer took {slowest:?}",
        ROUNDS * SAVES
    ));
    assert!(refused <= MAXIMUM_REFUSED, "{refused} saves are refused");
}

/// The deletion is conditional on the guard, which no save changes.
#[test]
fn a_logout_ends_a_session_at_its_first_try_while_32_connections_save_to_it() {
    const CONNECTIONS: usize = 32;
    let worker = start(&nothing());
    for _ in 0..ROUNDS {
        let token = worker.client().create(SERVICE_KEY, Some("alice"));
        let (saved, contended, has_ended) =
            (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let wrong = Mutex::new(Vec::new());
        let save = |connection: usize| {
            let mut client = worker.client();
            for n in 0.. {
                let change = json!({"set": {format!("field{connection}"): n}}).to_string();
                let begins_late = has_ended.load(Ordering::SeqCst);
                let answer = client.call("PATCH", "/v1/session", &token, Some(&change));
                match answer.status {
                    200 if !begins_late => saved.fetch_add(1, Ordering::Relaxed),
                    409 if !begins_late && answer.code() == "contended" => {
                        contended.fetch_add(1, Ordering::Relaxed)
                    }
                    401 if answer.code() == "missing" => return,
                    _ => {
                        wrong.lock().expect("no thread panicked").push(answer);
                        return;
                    }
                };
            }
        };
        let took = std::thread::scope(|scope| {
            for connection in 0..CONNECTIONS {
                scope.spawn(move || save(connection));
            }
            let begun = Instant::now();
            while saved.load(Ordering::Relaxed) < CONNECTIONS {
                assert!(begun.elapsed() < Duration::from_secs(30), "nothing is saved");
                std::thread::sleep(Duration::from_millis(5));
            }
            let begun = Instant::now();
            let ended = worker.client().call("DELETE", "/v1/session", &token, None);
            has_ended.store(true, Ordering::SeqCst);
            assert_eq!(ended.status, 204, "{ended:?}");
            begun.elapsed()
        });
        let wrong = wrong.into_inner().expect("no thread panicked");
        assert!(wrong.is_empty(), "{wrong:?}");
        worker
            .client()
            .call("GET", "/v1/session", &token, None)
            .refused(401, "missing");
        tell(&format!(
            "logout: 204 after {took:?}, beside {} saves and {} refused ones",
            saved.into_inner(),
            contended.into_inner()
        ));
    }
}
