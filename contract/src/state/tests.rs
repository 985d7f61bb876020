use super::*;
use crate::Timestamp;

const LIMITS: FieldLimits = FieldLimits {
    maximum_name_bytes: 8,
    maximum_value_bytes: 32,
    maximum_record_bytes: 64,
    maximum_fields: 3,
};

fn opened(fields: &str, version: u64) -> Arc<Opened> {
    let record: Arc<str> = format!("{{\"fields\":{fields}}}").into();
    Arc::new(Opened {
        handle: "h1.x".into(),
        key: "tessera:x".into(),
        version,
        details: Details {
            status: Status::Live,
            ..Details::of_draft()
        },
        asked_at: Timestamp::from_millis(1),
        holds_until: Timestamp::from_millis(2),
        fields: Arc::new(Fields::new(record, 10).unwrap()),
    })
}

fn state(fields: &str) -> State {
    State::opened(opened(fields, 1))
}

fn set(state: &mut State, name: &str, number: i64) -> Result<(), StateError> {
    state.update([(name.to_owned(), Some(Value::Integer(number)))], &LIMITS)
}

fn writing(state: &mut State) -> Writing {
    state.writing(|| Ok::<_, ()>([7; WRITER_BYTES])).unwrap()
}

#[test]
fn changes_lie_over_what_was_opened_until_they_are_written() {
    let mut state = state(r#"{"a":1,"b":"x"}"#);
    set(&mut state, "c", 3).unwrap();
    assert!(state.remove("a").unwrap() && !state.remove("d").unwrap());
    assert_eq!(state.get("a"), Ok(None));
    assert_eq!(state.get("b"), Ok(Some(Value::Text("x".into()))));
    assert_eq!(state.entries_json().as_deref(), Ok(r#"{"b":"x","c":3}"#));
    assert_eq!(writing(&mut state).changes, r#"{"set":{"c":3},"remove":["a"]}"#);
    state.written(opened(r#"{"b":"x","c":3}"#, 2));
    assert!(!state.details().unwrap().modified && writing(&mut state).changes.is_empty());
}

#[test]
fn a_limit_that_is_passed_takes_back_the_whole_change() {
    let mut state = state(r#"{"a":1,"b":2}"#);
    set(&mut state, "c", 3).unwrap();
    let many = ["a", "d"].map(|name| (name.to_owned(), Some(Value::Null)));
    assert_eq!(
        state.update(many, &LIMITS),
        Err(Unfit::Limit("maximum-fields", 3).into())
    );
    assert!(set(&mut state, "d", 4).is_err() && set(&mut state, "", 1).is_err());
    assert_eq!(state.entries_json().as_deref(), Ok(r#"{"a":1,"b":2,"c":3}"#));
    assert_eq!(writing(&mut state).changes, r#"{"set":{"c":3},"remove":[]}"#);
}

#[test]
fn whatever_a_session_lets_be_changed_the_engine_takes() {
    // Stored under wider limits, in more bytes than the present limits allow.
    let name = "n".repeat(100);
    let stored = format!(r#"{{"a":1,"b":1,"c":1,"d":1,"{name}":1}}"#);
    let mut state = state(&stored);
    state.clear().unwrap();
    for name in ["a", "b"] {
        set(&mut state, name, 7).unwrap();
    }
    let read = |state: &mut State| Overlay::read(&writing(state).changes, &LIMITS).map(|read| read.to_json());
    let changes = format!(r#"{{"set":{{"a":7,"b":7}},"remove":["c","d","{name}"]}}"#);
    assert_eq!(read(&mut state), Ok(changes));

    // Every reply was lost, so that each field may be stored.
    let mut state = State::draft("d1.x".into());
    let wide = FieldLimits {
        maximum_record_bytes: 1 << 20,
        ..LIMITS
    };
    let mut set = 0;
    for number in 0..10_000 {
        let change = (number.to_string(), Some(Value::Null));
        if state.update([change], &wide).is_err() {
            break;
        }
        set += 1;
        state.failed(Failed::OutcomeUnknown);
        assert!(state.remove(&number.to_string()).unwrap());
    }
    assert_eq!(set, MOST_CHANGES);
    assert!(Overlay::read(&writing(&mut state).changes, &wide).is_ok());
}

#[test]
fn what_a_lost_write_may_have_stored_is_removed_by_name() {
    let mut state = State::draft("d1.x".into());
    set(&mut state, "a", 1).unwrap();
    state.failed(Failed::OutcomeUnknown);
    assert!(state.remove("a").unwrap());
    assert_eq!(writing(&mut state).changes, r#"{"set":{},"remove":["a"]}"#);
}

#[test]
fn each_write_has_a_number_of_its_own_and_each_fork_a_name() {
    let mut state = state("{}");
    let first = writing(&mut state);
    let mut fork = state.fork().unwrap();
    assert_eq!((first.attempt, writing(&mut state).attempt), (0, 1));
    let forked = fork.writing(|| Ok::<_, ()>([8; WRITER_BYTES])).unwrap();
    assert_eq!((forked.writer[0], forked.attempt, first.writer[0]), (8, 0, 7));
    assert!(state.writing(|| Err(())).is_ok(), "a name is drawn once");
}

#[test]
fn one_call_at_a_time_and_none_after_the_end() {
    let mut state = state(r#"{"a":1}"#);
    state.begin().unwrap();
    assert_eq!(state.get("a"), Err(StateError::Busy));
    assert_eq!(state.begin(), Err(StateError::Busy));
    assert!(state.details().is_err() && state.fork().is_err() && set(&mut state, "a", 2).is_err());
    state.failed(Failed::Ended);
    state.end();
    assert_eq!(state.get("a"), Err(StateError::Closed));
    assert_eq!(state.details().unwrap().status, Status::Closed);
}

#[test]
fn a_touch_leaves_changes_over_the_record_that_they_were_made_on() {
    let mut state = state(r#"{"a":1}"#);
    set(&mut state, "b", 2).unwrap();
    state.touched(opened(r#"{"a":9}"#, 2));
    assert_eq!(state.get("a"), Ok(Some(Value::Integer(1))));
    assert_eq!(state.saved().unwrap().version, 1);
    assert_eq!(state.base(Some(2)).as_deref(), Some(r#"{"a":1}"#));
    assert!(state.base(None).is_some());
    assert_eq!(state.base(Some(1)), None);
}

#[test]
fn a_token_that_is_made_anew_leaves_version_and_fields_and_names_the_record_where_it_lies() {
    let mut state = state(r#"{"a":1}"#);
    let shared = Arc::clone(state.saved().unwrap());
    let moved = opened(r#"{"a":9}"#, 2);
    state.reissued(&Opened {
        handle: "h1.y".into(),
        key: "tessera:y".into(),
        asked_at: Timestamp::from_millis(7),
        holds_until: Timestamp::from_millis(9),
        version: 2,
        details: moved.details.clone(),
        fields: Arc::clone(&moved.fields),
    });
    let now = state.saved().unwrap();
    assert_eq!((now.handle.as_str(), &*now.key), ("h1.y", "tessera:y"));
    assert!(now.version == 1 && now.holds_at(Timestamp::from_millis(8)));
    assert_eq!(state.get("a"), Ok(Some(Value::Integer(1))));
    assert_eq!(shared.handle, "h1.x", "others have the session as they opened it");
}
