use super::*;
use crate::store::{Condition, Entry, Expected, MemoryStore};
use crate::{SystemClock, SystemRandom};

fn sources() -> Sources {
    let store = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
    Sources {
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    }
}

fn get(key: &str) -> StoreOp {
    StoreOp::Get {
        key: key.into(),
        fresh: false,
    }
}

/// A log after one pass that requested the time, random bytes and a key.
fn asked() -> (ReplayLog, Sources) {
    let (mut log, sources) = (ReplayLog::default(), sources());
    log.ask_now(&sources).unwrap();
    log.ask_random(&sources, 6).unwrap();
    assert!(log.ask(&sources, get("a")).unwrap().is_some());
    log.rewind();
    (log, sources)
}

#[test]
fn a_repeat_is_told_what_the_first_pass_was_told() {
    let (mut log, sources) = (ReplayLog::default(), sources());
    let now = log.ask_now(&sources).unwrap();
    let bytes = log.ask_random(&sources, 16).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    log.rewind();
    assert_eq!(log.ask_now(&sources).unwrap(), now);
    assert_eq!(log.ask_random(&sources, 16).unwrap(), bytes);
    assert_ne!(log.ask_random(&sources, 16).unwrap(), bytes);
}

#[test]
fn other_questions_on_a_repeat_are_found_out() {
    let (mut log, sources) = asked();
    assert_eq!(log.ask_random(&sources, 6).unwrap_err(), Failure::Diverged);

    let (mut log, sources) = asked();
    log.ask_now(&sources).unwrap();
    assert_eq!(log.ask_random(&sources, 7).unwrap_err(), Failure::Diverged);

    for other in [
        get("b"),
        StoreOp::Get {
            key: "a".into(),
            fresh: true,
        },
        StoreOp::Delete {
            key: "a".into(),
            condition: Condition::Guard(1),
        },
    ] {
        let (mut log, sources) = asked();
        log.ask_now(&sources).unwrap();
        log.ask_random(&sources, 6).unwrap();
        assert_eq!(log.ask(&sources, other).unwrap_err(), Failure::Diverged);
        assert_eq!(log.failure(), Some(Failure::Diverged));
    }
}

#[test]
fn every_argument_of_a_write_is_part_of_the_question() {
    let at = |owner: &str, ends_at| crate::store::Placement {
        owner: Some(owner.into()),
        previous_owner: None,
        guard: None,
        expires_at: Timestamp::from_millis(1),
        ends_at: Timestamp::from_millis(ends_at),
    };
    let replace_as = |value: &str, expected, at| StoreOp::Replace {
        key: "k".into(),
        value: value.into(),
        expected,
        at,
    };
    let replace = |value: &str, version, at| replace_as(value, Expected::Version(version), at);
    let questions = || {
        [
            replace("v", 1, at("o", 2)),
            replace("w", 1, at("o", 2)),
            replace("v", 2, at("o", 2)),
            replace("v", 1, at("p", 2)),
            replace("v", 1, at("o", 3)),
            replace_as("v", Expected::Guard(1), at("o", 2)),
        ]
    };
    for (first, asked) in questions().into_iter().enumerate() {
        let mut log = ReplayLog::default();
        log.push(
            Asked::Store(Arc::new(asked)),
            Answer::Store(StoreReply::Version(Ok(1))),
        );
        for (second, repeated) in questions().into_iter().enumerate() {
            log.rewind();
            assert_eq!(log.ask(&sources(), repeated).is_ok(), first == second);
        }
    }
}

#[test]
fn a_component_that_asks_too_much_is_stopped() {
    let (mut log, sources) = (ReplayLog::default(), sources());
    for _ in 0..MAXIMUM_IMPORT_CALLS {
        log.ask(&sources, get("a")).unwrap();
    }
    assert_eq!(
        log.ask(&sources, get("a")).unwrap_err(),
        Failure::TooManyQuestions
    );
    assert_eq!(
        ReplayLog::default().ask_random(&sources, 65).unwrap_err(),
        Failure::TooManyBytes
    );
    assert!(ReplayLog::default().ask_random(&sources, 64).is_ok());
}

#[test]
fn an_answer_beyond_the_bound_is_corrupt_and_one_at_it_is_not() {
    for (length, fits) in [(MAXIMUM_ANSWER_BYTES, true), (MAXIMUM_ANSWER_BYTES + 1, false)] {
        let entry = Entry {
            value: "x".repeat(length).into(),
            version: 1,
            guard: 1,
            expires_at: Timestamp::from_millis(1),
        };
        assert_eq!(
            matches!(
                StoreReply::Entry(Ok(entry)).bounded(MAXIMUM_ANSWER_BYTES),
                StoreReply::Entry(Ok(_))
            ),
            fits
        );
    }
}

fn seed() -> Seed {
    Seed {
        key: "a".into(),
        entry: Entry {
            value: "text".into(),
            version: 1,
            guard: 1,
            expires_at: Timestamp::from_millis(u64::MAX),
        },
    }
}

fn is_there(answer: Result<Option<StoreReply>, Failure>) -> bool {
    matches!(answer, Ok(Some(StoreReply::Entry(Ok(_)))))
}

#[test]
fn the_seed_answers_the_first_question_and_no_other() {
    let sources = sources();
    let mut log = ReplayLog::of_session(Some(seed()), None);
    assert!(is_there(log.ask(&sources, get("a"))) && !is_there(log.ask(&sources, get("a"))));
    let mut log = ReplayLog::of_session(Some(seed()), None);
    assert!(!is_there(log.ask(&sources, get("b"))) && !is_there(log.ask(&sources, get("a"))));
}

#[test]
fn a_call_that_cannot_wait_asks_no_store() {
    let sources = sources();
    let mut log = ReplayLog::at_once(Some(seed()));
    assert!(is_there(log.ask(&sources, get("a"))));
    let mut log = ReplayLog::at_once(None);
    let missing = log.ask(&sources, get("a"));
    assert!(matches!(
        missing,
        Ok(Some(StoreReply::Entry(Err(StoreError::Missing))))
    ));
    let fresh = StoreOp::Get {
        key: "a".into(),
        fresh: true,
    };
    assert_eq!(log.ask(&sources, fresh).unwrap_err(), Failure::NoLogicalCall);
}
