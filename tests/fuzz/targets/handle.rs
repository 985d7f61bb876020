//! What a host hands over with a call: any text as handle, as changes and as base, any bytes as writer.
//!
//! The first lines of an input are the handle, the writer, the attempt and the base (`-` is none); the rest is the changes.
//! Where the handle begins with `@` it is made: `@d` the draft's, `@s` a session's, `@x` with a place and a byte a session's that
//! was changed there, `@e` with a number another engine's, `@t` and `@i` with bytes of any kind behind the engine's tag, or behind
//! tag and id. The writer `@` is one of 22 bytes.

#![no_main]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use tessera_contract::Value;
use tessera_contract::form::{self, Unfit};
use tessera_contract::json;
use tessera_contract::overlay::Overlay;
use tessera_fuzz::host::Host;
use tessera_fuzz::model::{self, Fields, Held};
use tessera_fuzz::naive;
use tessera_fuzz::fixture::Fixture;
use tessera_guest::call::Call;
use tessera_guest::error::{Error, Kind};
use tessera_guest::handle::{Handle, Tag};
use tessera_guest::keys::SigningKey;
use tessera_guest::policy::{FieldRule, Policy, TokenFormat};
use tessera_guest::session::{self, Writing};
use tessera_guest::view::Written;
use tessera_guest::snapshot::KeepFields;
use tessera_guest::id::SessionId;

const NOW: u64 = 1_767_225_600_000;
const WRITER: [u8; 22] = [9; 22];

fuzz_target!(|data: &[u8]| {
    let Some(text) = tessera_fuzz::text(data) else {
        return;
    };
    let mut lines = text.splitn(5, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let [handle, writer, attempt, base] = [line(), line(), line(), line()];
    let changes = line();
    let policy = policy();
    check_changes(changes, &policy);

    let stage = Stage::new(policy);
    let handle = stage.handle(handle);
    let writer = if writer == "@" {
        &WRITER[..]
    } else {
        writer.as_bytes()
    };
    let writing = Writing {
        handle: &handle,
        changes,
        writer,
        attempt: attempt.parse().unwrap_or(0),
        base: (base != "-").then_some(base),
    };
    let is_ours = check_handle(&handle, &stage);
    check_calls(&stage, writing, is_ours);
});

fn policy() -> Policy {
    Policy {
        field_rule: FieldRule::Conflict,
        maximum_name_bytes: 24,
        maximum_value_bytes: 200,
        maximum_record_bytes: 1024,
        maximum_fields: 6,
        ..Policy::default()
    }
}

/// A session that was saved once more since its handle was made.
struct Stage {
    host: Host,
    handle: String,
    token: String,
}

impl Stage {
    fn new(policy: Policy) -> Self {
        let key = SigningKey {
            id: "k".into(),
            secret: vec![7; 32],
        };
        let host = Host::new(Fixture::at(NOW), policy, &[key]).unwrap();
        let mut session = host.draft();
        for (name, value) in [("a", 1), ("b", 2)] {
            session.set(&host, name, &Value::Integer(value)).unwrap();
        }
        let token = session.save(&host).unwrap().token.unwrap();
        let handle = session.state.saved().unwrap().handle.clone();
        session.set(&host, "b", &Value::Integer(3)).unwrap();
        session.save(&host).unwrap();
        Self { host, handle, token }
    }

    fn tag(&self) -> Vec<u8> {
        decode(&session::draft(&self.host.engine)[3..]).unwrap()
    }

    fn id(&self) -> SessionId {
        SessionId(decode(&self.handle[3..]).unwrap()[8..24].try_into().unwrap())
    }

    fn handle(&self, wanted: &str) -> String {
        let Some(wanted) = wanted.strip_prefix('@') else {
            return wanted.to_owned();
        };
        let mut bytes = decode(&self.handle[3..]).unwrap();
        let mut end = |from: usize, with: &str| {
            for (to, byte) in bytes[from..]
                .iter_mut()
                .zip(with.bytes().chain(std::iter::repeat(0)))
            {
                *to = byte;
            }
            format!("h1.{}", URL_SAFE_NO_PAD.encode(&bytes))
        };
        match wanted.split_at_checked(1) {
            Some(("d", _)) => session::draft(&self.host.engine),
            Some(("e", number)) => self.foreign(number.parse().unwrap_or(0)),
            Some(("t", with)) => end(8, with),
            Some(("i", with)) => end(24, with),
            Some(("x", change)) => {
                let mut numbers = change.split(' ').map(|number| number.parse().unwrap_or(0));
                let (place, byte) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
                let mut handle = self.handle.clone().into_bytes();
                let place = place % handle.len();
                handle[place] = byte as u8 & 0x7f;
                String::from_utf8(handle).unwrap()
            }
            _ => self.handle.clone(),
        }
    }

    /// The handle of a session in an engine whose tokens are others, or lie elsewhere.
    fn foreign(&self, number: usize) -> String {
        let mut policy = self.host.policy.clone();
        match number % 4 {
            0 => policy.issuer = "i".into(),
            1 => policy.audience = "a".into(),
            2 => policy.key_prefix = "p:".into(),
            _ => {
                (policy.issuer, policy.audience) = ("i".into(), "a".into());
                policy.token_format = TokenFormat::Jwt;
            }
        }
        let handle = Handle::read(&self.handle, Tag::of(&self.host.policy)).unwrap();
        handle.write(Tag::of(&policy))
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Whether it is a handle of the stage's engine, by a naive reading; and it has no other text.
fn check_handle(handle: &str, stage: &Stage) -> bool {
    let naive = match handle.split_at_checked(3) {
        Some(("d1.", rest)) => decode(rest).is_some_and(|bytes| bytes == stage.tag()),
        Some(("h1.", rest)) => {
            decode(rest).is_some_and(|bytes| bytes.len() == 70 && bytes.starts_with(&stage.tag()))
        }
        _ => false,
    };
    let tag = Tag::of(&stage.host.policy);
    match Handle::read(handle, tag) {
        Ok(read) => assert_eq!(read.write(tag), handle),
        Err(error) => assert_eq!(error, refusal()),
    }
    assert_eq!(Handle::read(handle, tag).is_ok(), naive);
    naive
}

/// The one answer to every handle that is refused, so that nothing of any stands in it.
fn refusal() -> Error {
    Handle::read("", Tag::of(&Policy::default())).unwrap_err()
}

/// No call panics; and one with a handle that is refused asks the store for nothing.
fn check_calls(stage: &Stage, writing: Writing<'_>, is_ours: bool) {
    let (engine, fixture) = (&*stage.host.engine, &stage.host.fixture);
    let Writing {
        handle,
        writer,
        attempt,
        ..
    } = writing;
    let check = |what: &str, ended: Result<(), Error>, before: u32| {
        let asked = fixture.asked.get() - before;
        if !is_ours {
            assert_eq!((ended, asked), (Err(refusal()), 0), "{what}");
        } else if let Err(error) = ended {
            assert!(
                !matches!(error.kind(), Kind::Pending | Kind::Corrupt),
                "{what}: {error:?}"
            );
        }
    };
    let before = || (Call::new(fixture), fixture.asked.get());

    let (call, asked) = before();
    check(
        "inspect",
        session::inspect(engine, &call, handle).map(drop),
        asked,
    );
    let (call, asked) = before();
    check(
        "csrf-token",
        session::csrf_token(engine, &call, handle).map(drop),
        asked,
    );
    let (call, asked) = before();
    check(
        "check-csrf-token",
        session::check_csrf_token(engine, &call, handle, "x"),
        asked,
    );
    let (call, asked) = before();
    check(
        "reissue",
        session::reissue(engine, &call, handle).map(drop),
        asked,
    );
    let (call, asked) = before();
    check("save", save(stage, &call, writing).map(drop), asked);
    let (call, asked) = before();
    check(
        "touch",
        session::touch(engine, &call, handle, writer, attempt).map(drop),
        asked,
    );
    let (call, asked) = before();
    check("rotate", session::rotate(engine, &call, writing).map(drop), asked);
    let (call, asked) = before();
    let keep = KeepFields::Named(vec!["a".into()]);
    let ended = session::authenticate(engine, &call, writing, "alice", &keep);
    check("authenticate", ended.map(drop), asked);
    let (call, asked) = before();
    check("destroy", session::destroy(engine, &call, handle), asked);
}

/// A save takes the changes whole, or leaves the record as it is.
fn save(stage: &Stage, call: &Call<'_>, writing: Writing<'_>) -> Result<Written, Error> {
    let shown = || -> Fields {
        let session = stage.host.open(&stage.token).unwrap();
        let entries = session.state.entries().unwrap();
        let held = |(name, value)| (name, Held::new(&value).unwrap());
        entries.into_iter().map(held).collect()
    };
    // What opening it before and after asks is no part of the call.
    let asked = stage.host.fixture.asked.get();
    let before = shown();
    stage.host.fixture.asked.set(asked);
    let ended = session::save(&stage.host.engine, call, writing);
    let is_asked = stage.host.fixture.asked.get() > asked;
    let after = shown();
    stage.host.fixture.asked.set(asked + u32::from(is_asked));
    let changes = naive_changes(writing.changes);
    if writing.writer.len() != 22 || changes.is_none() {
        assert!(ended.is_err() && !is_asked);
    }
    let names_it = match Handle::read(writing.handle, Tag::of(&stage.host.policy)) {
        Ok(Handle::Saved(saved)) => saved.id == stage.id(),
        // Who draws the very bytes of another writer is taken for it.
        Ok(Handle::Draft) if writing.writer.starts_with(&stage.id().0) => return ended,
        _ => false,
    };
    match (&ended, changes) {
        (Ok(_), Some(changes)) if names_it => assert_eq!(after, model::apply(&before, &changes)),
        _ => assert_eq!(after, before),
    }
    ended
}

/// What the engine takes as changes is what a naive reading of the text says, and is written in one form.
fn check_changes(text: &str, policy: &Policy) {
    let limits = policy.field_limits();
    match Overlay::read(text, &limits) {
        Ok(overlay) => {
            let ours: BTreeMap<String, Option<Held>> = overlay
                .iter()
                .map(|(name, value)| {
                    let value = value.map(|value| Held::new(&form::decode(value).unwrap()).unwrap());
                    (json::unescape(name).into_owned(), value)
                })
                .collect();
            assert_eq!(ours.len(), overlay.len());
            assert_eq!(Some(ours), naive_changes(text));
            let written = overlay.to_json();
            let again = Overlay::read(&written, &limits).unwrap();
            assert_eq!(again.to_json(), written);
            assert_eq!((again.len(), again.bytes()), (overlay.len(), overlay.bytes()));
        }
        Err((_, Unfit::Limit(..))) => {}
        Err((name, _)) => {
            assert_eq!(naive_changes(text), None, "{name:?}");
        }
    }
}

fn naive_changes(text: &str) -> Option<BTreeMap<String, Option<Held>>> {
    let mut changes = BTreeMap::new();
    if text.is_empty() {
        return Some(changes);
    }
    let members = naive::members(text)?;
    if !naive::are_unique(&members) {
        return None;
    }
    let mut count = 0;
    for (name, part) in members {
        match name.as_str() {
            "set" => {
                for (name, value) in naive::members(part)? {
                    changes.insert(name, Some(Held::outside(value)?));
                    count += 1;
                }
            }
            "remove" => {
                for name in serde_json::from_str::<Vec<String>>(part).ok()? {
                    changes.insert(name, None);
                    count += 1;
                }
            }
            _ => return None,
        }
    }
    let is_name = |name: &String| !name.is_empty() && !name.chars().any(char::is_control);
    (changes.len() == count && changes.keys().all(is_name)).then_some(changes)
}
