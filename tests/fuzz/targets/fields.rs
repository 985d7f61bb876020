//! Any sequence of calls on sessions, told by `tessera_fuzz::script`, against maps.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tessera_contract::Status;
use tessera_contract::form::Unfit;
use tessera_contract::state::StateError;
use tessera_fuzz::host::{Host, Refused, Session};
use tessera_fuzz::model::{self, Fields, Handle, Held, Stored};
use tessera_fuzz::naive;
use tessera_fuzz::script::{self, Changes, Step};
use tessera_fuzz::fixture::{Fault, Fixture};
use tessera_guest::error::Kind;
use tessera_guest::form::{check_name, escape};
use tessera_guest::keys::SigningKey;
use tessera_guest::policy::{FieldRule, Policy};
use tessera_guest::view::Grant;

const NOW: u64 = 1_767_225_600_000;
const HANDLES: usize = 4;
const STEPS: usize = 64;

fuzz_target!(|data: &[u8]| {
    let Some(text) = tessera_fuzz::text(data) else {
        return;
    };
    let conflict = text.starts_with('!');
    let mut run = Run::new(conflict);
    run.draft();
    for line in text.trim_start_matches('!').split('\n').take(STEPS) {
        if let Some((handle, step)) = script::read(line) {
            run.step(handle % run.handles.len(), step);
        }
    }
});

struct Run {
    conflict: bool,
    host: Host,
    handles: Vec<(Session, Handle)>,
    stored: Vec<Stored>,
    tokens: Vec<Option<String>>,
    /// What each write has stored, by its revision: the store's version.
    written: Vec<Fields>,
}

fn policy(conflict: bool) -> Policy {
    Policy {
        field_rule: if conflict {
            FieldRule::Conflict
        } else {
            FieldRule::LaterWins
        },
        maximum_name_bytes: 24,
        maximum_value_bytes: 200,
        maximum_record_bytes: 1024,
        maximum_fields: 6,
        ..Policy::default()
    }
}

impl Run {
    fn new(conflict: bool) -> Self {
        let keys = [SigningKey {
            id: "k".into(),
            secret: vec![7; 32],
        }];
        Self {
            conflict,
            host: Host::new(Fixture::at(NOW), policy(conflict), &keys).unwrap(),
            handles: Vec::new(),
            stored: Vec::new(),
            tokens: Vec::new(),
            written: Vec::new(),
        }
    }

    fn draft(&mut self) {
        if self.handles.len() < HANDLES {
            self.handles.push((self.host.draft(), Handle::default()));
        }
    }

    fn step(&mut self, at: usize, step: Step) {
        match step {
            Step::Draft => self.draft(),
            Step::Fork => self.fork(at),
            Step::Save => self.save(at, Fault::None),
            Step::SaveAnswerLost => self.save(at, Fault::AnswerLost),
            Step::SaveLost => self.save(at, Fault::Lost),
            Step::Open => self.open(at),
            Step::Destroy => self.destroy(at),
            Step::Forget => self.handles[at].0.forget_seed(),
            Step::Set(name, value) => self.update(at, vec![(name, Some(value))], true),
            Step::Update(changes) => self.update(at, changes, false),
            Step::Remove(name) => self.remove(at, &name),
            Step::Pop(name) => self.pop(at, &name),
            Step::Clear => {
                let (session, handle) = &mut self.handles[at];
                assert_eq!(session.state.clear().is_ok(), !handle.closed);
                if !handle.closed {
                    handle.clear();
                }
            }
        }
        for (session, handle) in &self.handles {
            compare(session, handle);
        }
        let live = self.stored.iter().filter(|stored| stored.fields.is_some());
        assert_eq!(self.host.fixture.len(), live.count());
    }

    fn update(&mut self, at: usize, changes: Changes, one: bool) {
        let (session, handle) = &mut self.handles[at];
        let result = match &changes[..] {
            [(name, Some(value))] if one => session.set(&self.host, name, value),
            _ => session.update(&self.host, changes.clone()),
        };
        let policy = policy(false);
        let mut after = handle.clone();
        let mut fits = true;
        for (name, value) in &changes {
            let held = value.as_ref().map(Held::new);
            if check_name(name, policy.maximum_name_bytes).is_err() || held == Some(None) {
                return assert!(matches!(result, Err(StateError::Unfit(_))));
            }
            let held = held.flatten();
            fits &= model::bytes(name, held.as_ref()) <= policy.maximum_value_bytes as usize;
            after.change(name, held);
        }
        let too_many = after.view().len() > policy.maximum_fields as usize;
        fits &= after.bytes() <= policy.maximum_record_bytes as usize;
        match result {
            Ok(()) => {
                assert!(!handle.closed && !too_many);
                *handle = after;
            }
            Err(StateError::Closed) => assert!(handle.closed),
            Err(error) => assert!(
                matches!(error, StateError::Unfit(Unfit::Limit(..))) && (too_many || !fits),
                "{error:?}"
            ),
        }
    }

    fn remove(&mut self, at: usize, name: &str) {
        let (session, handle) = &mut self.handles[at];
        match session.state.remove(name) {
            Ok(was) => {
                assert!(!handle.closed);
                assert_eq!(was, handle.view().contains_key(name));
                handle.change(name, None);
            }
            Err(error) => assert!(error == StateError::Closed && handle.closed),
        }
    }

    fn pop(&mut self, at: usize, name: &str) {
        let (session, handle) = &mut self.handles[at];
        match session.state.get(name) {
            Ok(value) => {
                assert!(!handle.closed);
                let held = value.as_ref().and_then(Held::new);
                assert_eq!(held.as_ref(), handle.view().get(name));
                assert_eq!(session.state.remove(name), Ok(value.is_some()));
                handle.change(name, None);
            }
            Err(error) => assert!(error == StateError::Closed && handle.closed),
        }
    }

    fn fork(&mut self, at: usize) {
        let (session, handle) = &self.handles[at];
        match session.fork() {
            Ok(fork) => {
                assert!(!handle.closed);
                // A draft's fork is a session of its own.
                let handle = Handle {
                    lost: None,
                    ..handle.clone()
                };
                if self.handles.len() < HANDLES {
                    self.handles.push((fork, handle));
                } else {
                    self.handles[HANDLES - 1] = (fork, handle);
                }
            }
            Err(error) => assert!(error == StateError::Closed && handle.closed),
        }
    }

    fn open(&mut self, at: usize) {
        let Some(number) = self.handles[at].1.session else {
            return;
        };
        let Some(token) = &self.tokens[number] else { return };
        let stored = &self.stored[number];
        match (self.host.open(token), &stored.fields) {
            (Ok(session), Some(fields)) => {
                let handle = Handle {
                    session: Some(number),
                    base: fields.clone(),
                    revision: stored.revision,
                    ..Handle::default()
                };
                self.handles[at] = (session, handle);
            }
            (Err(error), None) => assert!(error.is(Kind::Missing), "{error:?}"),
            (result, fields) => panic!("{:?} but {fields:?}", result.err()),
        }
    }

    fn destroy(&mut self, at: usize) {
        let (session, handle) = &mut self.handles[at];
        let result = session.destroy(&self.host);
        assert_eq!(result.is_err(), handle.closed);
        assert_eq!(session.state.live().err(), Some(StateError::Closed));
        if let Some(number) = handle.session.filter(|_| !handle.closed) {
            self.stored[number].fields = None;
        }
        *handle = Handle {
            closed: true,
            ..Handle::default()
        };
    }

    fn save(&mut self, at: usize, fault: Fault) {
        let handle = self.handles[at].1.clone();
        let seed = self.handles[at].0.seed_version();
        let fixture = &self.host.fixture;
        fixture.fault.set(fault);
        fixture.asked.set(0);
        let result = self.handles[at].0.save(&self.host);
        fixture.fault.take();
        let asked = fixture.asked.get();
        if handle.closed {
            return assert!(result.unwrap_err().is_closed());
        }
        if handle.session.is_some() && handle.changes.is_empty() {
            return self.looked(at, &handle, seed, asked, result);
        }
        let merged = self.merge(&handle);
        if result.as_ref().is_err_and(|error| error.is(Kind::LimitExceeded)) {
            let merged = merged.unwrap_or_default();
            return assert!([handle.view(), merged].iter().any(may_be_too_large));
        }
        // A write that is refused, because others wrote before, is one whose answer cannot get lost.
        let meets = match (handle.session, handle.lost) {
            (Some(number), _) => {
                let stored = &self.stored[number];
                let begins_with = seed.unwrap_or(stored.revision);
                stored.fields.is_some() && stored.revision == begins_with
            }
            (None, lost) => lost.is_none(),
        };
        // A refusal by what the host has seen last makes the engine look at the store before it writes.
        let is_unknown = result.as_ref().is_err_and(|error| error.is(Kind::OutcomeUnknown));
        let is_moved = handle.session.is_some() && seed.is_some_and(|seed| seed != handle.revision);
        let looked_again = is_unknown && is_moved && asked == 2;
        // Nothing could keep it from being one operation on the store.
        if result.is_ok() && meets && (handle.session.is_none() || seed.is_some()) {
            assert_eq!(asked, 1);
        }
        match fault {
            // It is found out before anything is written.
            _ if result.as_ref().is_err_and(|error| error.is(Kind::Conflict)) => {
                self.saved(at, &handle, result, merged);
            }
            Fault::Lost if asked > 0 && !result.as_ref().is_err_and(|error| error.is(Kind::Missing)) => {
                assert!(result.unwrap_err().is(Kind::OutcomeUnknown));
                self.handles[at].1.tried = true;
            }
            Fault::AnswerLost if meets || looked_again => {
                assert!(result.unwrap_err().is(Kind::OutcomeUnknown));
                self.handles[at].1.tried = true;
                let number = handle.session.unwrap_or_else(|| self.add());
                let newest = merged.unwrap();
                self.store(number, newest);
                if handle.session.is_none() {
                    self.handles[at].1.lost = Some(number);
                }
            }
            _ => self.saved(at, &handle, result, merged),
        }
    }

    /// A save without changes asks nobody, if the host still has what it saw last; that is what the handle shows then.
    fn looked(
        &mut self,
        at: usize,
        handle: &Handle,
        seed: Option<u64>,
        asked: u32,
        result: Result<Grant, Refused>,
    ) {
        assert_eq!(asked, u32::from(seed.is_none()));
        let stored = handle.session.map(|number| self.stored[number].clone());
        let stored = stored.unwrap_or_default();
        match (result, seed, stored.fields) {
            (Ok(grant), seen, fields) => {
                assert_eq!(grant.token, None);
                let revision = seen.unwrap_or(stored.revision);
                let base = self.written[revision as usize - 1].clone();
                assert!(seen.is_some() || fields.as_ref() == Some(&base));
                self.handles[at].1 = Handle {
                    session: handle.session,
                    base,
                    revision,
                    ..Handle::default()
                };
            }
            (Err(error), None, None) => {
                assert!(error.is(Kind::Missing), "{error:?}");
                self.handles[at].1.closed = true;
            }
            (result, ..) => panic!("{result:?}"),
        }
    }

    fn saved(
        &mut self,
        at: usize,
        handle: &Handle,
        result: Result<Grant, Refused>,
        merged: Result<Fields, Kind>,
    ) {
        match (result, merged) {
            (Ok(grant), Ok(fields)) => {
                let number = handle.session.or(handle.lost).unwrap_or_else(|| self.add());
                // A draft that an earlier try has stored is as it should be, if there is nothing to change.
                let is_there = handle.lost.is_some() && handle.changes.is_empty();
                let revision = match is_there {
                    true => self.stored[number].revision,
                    false => self.store(number, fields.clone()),
                };
                assert_eq!(grant.token.is_some(), handle.session.is_none());
                if grant.token.is_some() {
                    self.tokens[number] = grant.token;
                }
                assert!(fields.len() <= policy(false).maximum_fields as usize);
                self.handles[at].1 = Handle {
                    session: Some(number),
                    base: fields,
                    revision,
                    ..Handle::default()
                };
            }
            (Err(error), Err(kind)) => {
                assert!(error.is(kind), "{error:?}");
                self.handles[at].1.closed = kind == Kind::Missing;
            }
            (result, merged) => panic!("{result:?} but {merged:?}"),
        }
    }

    /// What a save makes of what is stored.
    fn merge(&self, handle: &Handle) -> Result<Fields, Kind> {
        let Some(number) = handle.session else {
            // Nobody else knows of it: what is shown is what is stored, whatever an earlier try has stored.
            return Ok(handle.view());
        };
        let stored = &self.stored[number];
        let newest = stored.fields.as_ref().ok_or(Kind::Missing)?;
        if self.conflict && handle.conflicts(stored, newest) {
            return Err(Kind::Conflict);
        }
        Ok(model::apply(newest, &handle.changes))
    }

    fn add(&mut self) -> usize {
        self.stored.push(Stored::default());
        self.tokens.push(None);
        self.stored.len() - 1
    }

    fn store(&mut self, number: usize, fields: Fields) -> u64 {
        self.written.push(fields.clone());
        let revision = self.written.len() as u64;
        self.stored[number] = Stored {
            fields: Some(fields),
            revision,
        };
        revision
    }
}

/// Half of a record is the head's.
fn may_be_too_large(fields: &Fields) -> bool {
    let policy = policy(false);
    let bytes: usize = fields
        .iter()
        .map(|(name, value)| model::bytes(name, Some(value)))
        .sum();
    fields.len() > policy.maximum_fields as usize || bytes + 512 > policy.maximum_record_bytes as usize
}

/// A handle shows what its model shows, in every way there is to look.
fn compare(session: &Session, handle: &Handle) {
    let details = session.state.details().unwrap();
    if handle.closed {
        assert_eq!(details.status, Status::Closed);
        assert_eq!(session.state.entries(), Err(StateError::Closed));
        return assert_eq!(session.state.entries_json(), Err(StateError::Closed));
    }
    let stored = handle.session.is_some();
    assert_eq!(details.status, if stored { Status::Live } else { Status::Draft });
    let version = session.state.live().unwrap().map(|opened| opened.version);
    assert_eq!(version, stored.then_some(handle.revision));
    assert_eq!(details.modified, !handle.changes.is_empty());
    let view = handle.view();
    // They are ordered as they stand in a record.
    let mut expected: Vec<(&String, &Held)> = view.iter().collect();
    expected.sort_by_key(|(name, _)| escape(name));
    let entries = session.state.entries().unwrap();
    let json = session.state.entries_json().unwrap();
    let members = naive::members(&json).unwrap();
    assert_eq!((entries.len(), members.len()), (expected.len(), expected.len()));
    for (index, (name, held)) in expected.into_iter().enumerate() {
        assert_eq!(
            (name, Some(held)),
            (&entries[index].0, Held::new(&entries[index].1).as_ref())
        );
        let shown = session.state.get(name).unwrap().unwrap();
        assert_eq!(Held::new(&shown).as_ref(), Some(held));
        assert_eq!(name, &members[index].0);
        if let Some(plain) = held.plain() {
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(members[index].1).unwrap(),
                plain
            );
        }
    }
}
