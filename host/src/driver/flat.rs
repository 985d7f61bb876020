//! The flat interface of the component, which the Rust host itself has no need of: it answers as the one with resources does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Component;
use super::bindings::wit;
use super::instance::{Instance, Limits, Lost, Setup, Slot, starting_policy};
use super::queue::Queues;
use super::record::{Record, Sources};
use crate::store::MemoryStore;
use crate::{SigningKey, SystemClock, SystemRandom};

struct Flat {
    slot: Slot,
    engine: u32,
}

/// One logical call; the memory store answers at once.
macro_rules! call {
    ($flat:ident.$method:ident($($argument:expr),*)) => {
        $flat.pass(|instance| {
            let flat = instance.exports.tessera_session_flat();
            flat.$method(&mut instance.store, $flat.engine $(, $argument)*)
        })
    };
}

impl Flat {
    fn new(change: impl FnOnce(&mut wit::Policy)) -> Self {
        let component = Component::embedded().unwrap();
        let mut policy = starting_policy(&component, wit::Preset::Standard).unwrap();
        change(&mut policy);
        let store = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
        let sources = Sources {
            store: Arc::new(store),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        };
        let keys = vec![SigningKey::new("k", [7; 32])];
        let limits = Limits::default();
        let setup = Setup {
            component,
            sources,
            policy: policy.clone(),
            keys: Mutex::new(keys.clone().into()),
            limits,
            queues: Queues::new(0),
        };
        let mut flat = Self {
            slot: Slot::new(Arc::new(setup), None),
            engine: 0,
        };
        flat.slot
            .room()
            .unwrap_or_else(|_| panic!("an instance can be made"));
        let keys: Vec<_> = keys.iter().map(SigningKey::to_wit).collect();
        flat.engine = flat
            .pass(|instance| {
                let flat = instance.exports.tessera_session_flat();
                flat.call_configure(&mut instance.store, &policy, &keys)
            })
            .unwrap();
        flat
    }

    fn pass<T>(
        &self,
        call: impl FnOnce(&mut Instance) -> wasmtime::Result<Result<T, wit::Error>>,
    ) -> Result<T, wit::ErrorKind> {
        let passed = self
            .slot
            .pass(self.slot.epoch(), Some(&mut Record::default()), call);
        match passed {
            Ok(answer) => answer.map_err(|error| error.kind),
            Err(Lost::Trapped(error)) => panic!("{error:?}"),
            Err(_) => panic!("the instance is lost"),
        }
    }
}

fn set(name: &str, number: i64) -> wit::Change {
    wit::Change {
        name: name.into(),
        value: Some(wit::Value::Integer(number)),
    }
}

#[test]
fn a_session_lives_its_life_without_a_handle() {
    let flat = Flat::new(|policy| policy.rotation_grace_ms = 0);
    let made = call!(flat.call_create(Some("alice"), &[set("n", 1)])).unwrap();
    let token = made.token.unwrap();

    let loaded = call!(flat.call_load(&token)).unwrap();
    assert_eq!(
        (loaded.fields.as_str(), loaded.details.subject.as_deref()),
        (r#"{"n":1}"#, Some("alice"))
    );
    let saved = call!(flat.call_save(&token, loaded.version, &[set("m", 2)])).unwrap();
    assert_eq!(saved.token, None);
    assert_eq!(call!(flat.call_load(&token)).unwrap().fields, r#"{"m":2,"n":1}"#);

    let csrf = call!(flat.call_csrf_token(&token)).unwrap();
    call!(flat.call_check_csrf_token(&token, &csrf)).unwrap();
    assert!(!call!(flat.call_touch(&token)).unwrap());
    assert!(call!(flat.call_reissue(&token)).unwrap().token.is_some());
    let claims = call!(flat.call_verify(&token, None)).unwrap();
    assert_eq!(claims.reference, loaded.details.reference);

    let renewed = call!(flat.call_rotate(&token, &[])).unwrap().token.unwrap();
    assert!(call!(flat.call_touch(&renewed)).unwrap());
    assert_eq!(call!(flat.call_load(&token)).unwrap_err(), wit::ErrorKind::Reused);

    let stepped_up =
        call!(flat.call_authenticate(&renewed, "alice", &wit::Survivors::Everything, &[set("n", 3)]))
            .unwrap();
    let stepped_up = stepped_up.token.unwrap();
    assert_eq!(
        call!(flat.call_load(&renewed)).unwrap_err(),
        wit::ErrorKind::Replaced
    );
    assert_eq!(
        call!(flat.call_load(&stepped_up)).unwrap().fields,
        r#"{"m":2,"n":3}"#
    );

    let listed = call!(flat.call_list_sessions("alice", Some(&claims.reference), None)).unwrap();
    assert!(listed.items.len() == 1 && listed.items[0].current);
    call!(flat.call_destroy(&stepped_up)).unwrap();
    assert_eq!(
        call!(flat.call_load(&stepped_up)).unwrap_err(),
        wit::ErrorKind::Missing
    );
}

#[test]
fn all_sessions_of_a_subject_end_without_a_handle() {
    let flat = Flat::new(|_| {});
    for _ in 0..3 {
        call!(flat.call_create(Some("alice"), &[])).unwrap();
    }
    let listed = call!(flat.call_list_sessions("alice", None, None)).unwrap();
    let first = listed.items[0].reference.clone();
    assert_eq!(call!(flat.call_revoke("alice", &first, None)).unwrap().ended, 1);
    let progress = call!(flat.call_revoke_all("alice", None, None)).unwrap();
    assert_eq!(progress.ended, 2);
    let next = progress.next.unwrap();
    let progress = call!(flat.call_revoke_all("alice", None, Some(&next))).unwrap();
    assert_eq!((progress.ended, progress.next), (0, None));
}

#[test]
fn under_the_rule_conflict_a_save_since_an_older_version_names_what_differs() {
    let flat = Flat::new(|policy| policy.field_rule = wit::FieldRule::Conflict);
    let token = call!(flat.call_create(None, &[set("n", 1)]))
        .unwrap()
        .token
        .unwrap();
    let seen = call!(flat.call_load(&token)).unwrap().version;
    call!(flat.call_save(&token, seen, &[set("n", 2)])).unwrap();
    assert_eq!(
        call!(flat.call_save(&token, seen, &[set("n", 3)])).unwrap_err(),
        wit::ErrorKind::Conflict
    );
    // What has the same value already is no conflict.
    call!(flat.call_save(&token, seen, &[set("n", 2)])).unwrap();
}

#[test]
fn an_engine_that_was_released_is_not_there() {
    let flat = Flat::new(|_| {});
    let released = flat.slot.pass(flat.slot.epoch(), None, |instance| {
        instance
            .exports
            .tessera_session_flat()
            .call_release(&mut instance.store, flat.engine)
    });
    assert!(released.is_ok());
    assert_eq!(
        call!(flat.call_load("ts1")).unwrap_err(),
        wit::ErrorKind::InvalidArgument
    );
}
