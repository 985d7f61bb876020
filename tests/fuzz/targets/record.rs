//! A record's text, read in place, against serde_json.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tessera_contract::state::{Fields, Opened, State};
use tessera_contract::{Details, Timestamp};
use tessera_fuzz::naive;
use tessera_guest::form::{self, escape};
use tessera_guest::generation::Generation;
use tessera_guest::json;
use tessera_guest::overlay::{Change, Overlay};
use tessera_guest::record::Head;
use tessera_guest::snapshot::{Snapshot, KeepFields};
use tessera_guest::id::SessionId;

const ID: SessionId = SessionId([7; 16]);

fuzz_target!(|data: &[u8]| {
    let Some(text) = tessera_fuzz::text(data) else {
        return;
    };
    let Ok(record) = Snapshot::read(ID, text.into(), 7) else {
        return;
    };
    assert_eq!((record.text(), record.version), (text, 7));
    let members = naive::members(text).expect("what the engine reads is JSON");
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "format",
            "created",
            "authenticated",
            "ends",
            "subject",
            "generation",
            "previous",
            "floor",
            "confirmed",
            "writes",
            "fields"
        ]
    );
    let part = |name: &str| members[names.iter().position(|other| *other == name).unwrap()].1;
    check_head(&record.head, &|name| serde_json::from_str(part(name)).unwrap());
    check_fields(&record, part("fields"));
    check_rewritten(&record);
});

fn check_head(head: &Head, part: &dyn Fn(&str) -> Value) {
    let generation = |name: &str, ours: Option<Generation>| {
        let ours = ours.map(|Generation { counter, raised_at }| (u64::from(counter), raised_at));
        assert_eq!(part(name), serde_json::json!(ours));
    };
    assert_eq!(part("format"), 1);
    assert_eq!(part("created"), head.created_at);
    assert_eq!(part("authenticated"), serde_json::json!(head.authenticated_at));
    assert_eq!(part("ends"), head.ends_at);
    assert_eq!(part("subject"), serde_json::json!(head.subject));
    generation("generation", Some(head.generations.current));
    generation("previous", head.generations.previous);
    generation("floor", Some(head.generations.login_generation));
    assert_eq!(
        part("confirmed"),
        serde_json::json!(head.generations.confirmed_at)
    );
    assert_eq!(part("writes"), serde_json::json!(head.writes.iter().collect::<Vec<_>>()));
}

fn check_fields(record: &Snapshot, fields: &str) {
    assert!(naive::read(fields, false).is_some(), "a field's value is no JSON");
    let theirs = naive::members(fields).unwrap();
    let ours: Vec<(String, &str)> = record
        .raw_fields()
        .map(|(name, value)| (json::unescape(name).into_owned(), value))
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!((record.len(), record.is_empty()), (ours.len(), ours.is_empty()));
    // What the host cuts out of the record's text by the place that the engine names.
    assert_eq!(record.fields_text(), fields);
    let host = Fields::new(record.text().into(), record.fields_at()).unwrap();
    assert_eq!(host.text(), fields);
    match shown(host) {
        Some(entries) => assert!(
            entries
                .iter()
                .map(|(name, _)| name)
                .eq(ours.iter().map(|(name, _)| name))
        ),
        None => assert!(ours.iter().any(|(_, stored)| form::decode(stored).is_none())),
    }
    for (name, stored) in record.raw_fields() {
        assert_eq!(record.raw(name), Some(stored));
        let _ = form::decode(stored);
        // A name that is written as the engine writes it is found by what it says.
        let plain = json::unescape(name);
        if escape(&plain) == name {
            assert_eq!(record.raw(&escape(&plain)), Some(stored));
        }
    }
}

/// All fields as a session shows them; `None` where the value of one is in no known form.
fn shown(fields: Fields) -> Option<Vec<(String, tessera_contract::Value)>> {
    let opened = Opened {
        handle: String::new(),
        key: "".into(),
        version: 1,
        details: Details::of_draft(),
        asked_at: Timestamp::default(),
        holds_until: Timestamp::default(),
        fields: Arc::new(fields),
    };
    State::opened(Arc::new(opened)).entries().ok()
}

fn compose(record: &Snapshot, overlay: &Overlay) -> Snapshot {
    let head = record.head.clone();
    Snapshot::compose(
        ID,
        head,
        Some(record),
        &KeepFields::Everything,
        overlay,
        8192,
        u32::MAX,
    )
    .unwrap()
}

/// Written back and read again it is the same record; and one change is one change.
fn check_rewritten(record: &Snapshot) {
    let written = compose(record, &Overlay::default());
    let read = Snapshot::read(ID, written.text().into(), 0).unwrap();
    assert_eq!((&read.head, &written.head), (&record.head, &record.head));
    assert!(read.raw_fields().eq(record.raw_fields()));
    assert!(written.raw_fields().eq(record.raw_fields()));
    assert_eq!(compose(&read, &Overlay::default()).text(), written.text());

    let mut overlay = Overlay::default();
    let middle = record.raw_fields().nth(record.len() / 2);
    if let Some((name, _)) = middle {
        overlay.put(Change {
            name: name.into(),
            value: None,
        });
    }
    overlay.put(Change {
        name: "m".into(),
        value: Some("1".into()),
    });
    let changed = compose(record, &overlay);
    let mut expected: Vec<(&str, &str)> = record
        .raw_fields()
        .filter(|(name, _)| *name != "m" && middle.is_none_or(|(gone, _)| gone != *name))
        .chain([("m", "1")])
        .collect();
    expected.sort_unstable();
    assert!(changed.raw_fields().eq(expected));
    // One more than a record may have is only ever made here.
    if changed.len() <= 4096 {
        let read = Snapshot::read(ID, changed.text().into(), 0).unwrap();
        assert!(read.raw_fields().eq(changed.raw_fields()));
    }
}
