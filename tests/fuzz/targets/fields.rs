//! Any sequence of calls on sessions, told by `tessera_fuzz::script`, against maps.

#![no_main]

use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use tessera_fuzz::model::{self, Fields, Handle, Held, Stored};
use tessera_fuzz::naive;
use tessera_fuzz::script::{self, Changes, Step};
use tessera_fuzz::world::{Fault, World};
use tessera_guest::call::Call;
use tessera_guest::engine::Engine;
use tessera_guest::error::{Error, Kind};
use tessera_guest::keys::SigningKey;
use tessera_guest::policy::{FieldRule, Policy, check_name};
use tessera_guest::session::{Grant, Session, Status};
use tessera_guest::snapshot::escape;

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
    world: World,
    engine: Rc<Engine>,
    handles: Vec<(Session, Handle)>,
    stored: Vec<Stored>,
    tokens: Vec<Option<String>>,
    revisions: u64,
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
        let world = World::at(NOW);
        let keys = [SigningKey {
            id: "k".into(),
            secret: vec![7; 32],
        }];
        let engine = Engine::configure(&Call::new(&world), policy(conflict), &keys).unwrap();
        Self {
            conflict,
            world,
            engine,
            handles: Vec::new(),
            stored: Vec::new(),
            tokens: Vec::new(),
            revisions: 0,
        }
    }

    fn draft(&mut self) {
        if self.handles.len() < HANDLES {
            self.handles.push((self.engine.create(), Handle::default()));
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
            Step::Set(name, value) => self.update(at, vec![(name, Some(value))], true),
            Step::Update(changes) => self.update(at, changes, false),
            Step::Remove(name) => self.remove(at, &name),
            Step::Pop(name) => self.pop(at, &name),
            Step::Clear => {
                let (session, handle) = &mut self.handles[at];
                assert_eq!(session.clear().is_ok(), !handle.closed);
                if !handle.closed {
                    handle.clear();
                }
            }
        }
        for (session, handle) in &self.handles {
            compare(session, handle);
        }
        let live = self.stored.iter().filter(|stored| stored.fields.is_some());
        assert_eq!(self.world.len(), live.count());
    }

    fn update(&mut self, at: usize, changes: Changes, one: bool) {
        let (session, handle) = &mut self.handles[at];
        let result = match &changes[..] {
            [(name, Some(value))] if one => session.set(name, value),
            _ => session.update(&changes),
        };
        let policy = policy(false);
        let mut after = handle.clone();
        let mut fits = true;
        for (name, value) in &changes {
            let held = value.as_ref().map(Held::new);
            if check_name(name, policy.maximum_name_bytes).is_err() || held == Some(None) {
                let refused = result.unwrap_err();
                return assert!(matches!(
                    refused.kind(),
                    Kind::InvalidArgument | Kind::InvalidValue | Kind::LimitExceeded
                ));
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
            Err(error) if error.is(Kind::Closed) => assert!(handle.closed),
            Err(error) => assert!(error.is(Kind::LimitExceeded) && (too_many || !fits), "{error:?}"),
        }
    }

    fn remove(&mut self, at: usize, name: &str) {
        let (session, handle) = &mut self.handles[at];
        match session.remove(name) {
            Ok(was) => {
                assert!(!handle.closed);
                assert_eq!(was, handle.view().contains_key(name));
                handle.change(name, None);
            }
            Err(error) => assert!(error.is(Kind::Closed) && handle.closed),
        }
    }

    fn pop(&mut self, at: usize, name: &str) {
        let (session, handle) = &mut self.handles[at];
        match session.pop(name) {
            Ok(value) => {
                assert_eq!(Held::new(&value).as_ref(), handle.view().get(name));
                handle.change(name, None);
            }
            Err(error) if error.is(Kind::Closed) => assert!(handle.closed),
            Err(error) => {
                assert!(error.is(Kind::Missing) && !handle.view().contains_key(name));
            }
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
            Err(error) => assert!(error.is(Kind::Closed) && handle.closed),
        }
    }

    fn open(&mut self, at: usize) {
        let Some(number) = self.handles[at].1.session else {
            return;
        };
        let Some(token) = &self.tokens[number] else { return };
        let stored = &self.stored[number];
        match (self.engine.open(&Call::new(&self.world), token), &stored.fields) {
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
        let result = session.destroy(&Call::new(&self.world));
        assert_eq!(result.is_err_and(|error| error.is(Kind::Closed)), handle.closed);
        if let Some(number) = handle.session.filter(|_| !handle.closed) {
            self.stored[number].fields = None;
        }
        *handle = Handle {
            closed: true,
            ..Handle::default()
        };
    }

    fn save(&mut self, at: usize, fault: Fault) {
        self.world.fault.set(fault);
        let result = self.handles[at].0.save(&Call::new(&self.world));
        self.world.fault.take();
        let handle = self.handles[at].1.clone();
        if handle.closed {
            return assert!(result.unwrap_err().is(Kind::Closed));
        }
        if handle.session.is_some() && handle.changes.is_empty() {
            // Nothing to store, and nobody is asked.
            return assert_eq!(result.unwrap().token, None);
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
                stored.fields.is_some() && stored.revision == handle.revision
            }
            (None, lost) => lost.is_none(),
        };
        match fault {
            Fault::Lost => {
                assert!(result.unwrap_err().is(Kind::OutcomeUnknown));
                self.handles[at].1.tried = true;
            }
            Fault::AnswerLost if meets => {
                assert!(result.unwrap_err().is(Kind::OutcomeUnknown));
                self.handles[at].1.tried = true;
                let number = handle.session.unwrap_or_else(|| self.add());
                self.store(number, handle.view());
                if handle.session.is_none() {
                    self.handles[at].1.lost = Some(number);
                }
            }
            _ => self.saved(at, &handle, result, merged),
        }
    }

    fn saved(
        &mut self,
        at: usize,
        handle: &Handle,
        result: Result<Grant, Error>,
        merged: Result<Fields, Kind>,
    ) {
        match (result, merged) {
            (Ok(grant), Ok(fields)) => {
                let number = handle.session.or(handle.lost).unwrap_or_else(|| self.add());
                assert_eq!(grant.token.is_some(), handle.session.is_none());
                if grant.token.is_some() {
                    self.tokens[number] = grant.token;
                }
                assert!(fields.len() <= policy(false).maximum_fields as usize);
                self.handles[at].1 = Handle {
                    session: Some(number),
                    base: fields.clone(),
                    revision: self.store(number, fields),
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
        self.revisions += 1;
        self.stored[number] = Stored {
            fields: Some(fields),
            revision: self.revisions,
        };
        self.revisions
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
    let details = session.details(NOW);
    if handle.closed {
        assert_eq!(details.status, Status::Closed);
        assert!(session.entries().unwrap_err().is(Kind::Closed));
        return assert!(session.entries_json().unwrap_err().is(Kind::Closed));
    }
    let stored = handle.session.is_some();
    assert_eq!(details.status, if stored { Status::Live } else { Status::Draft });
    assert_eq!(session.version().is_some(), stored);
    assert_eq!(
        (session.is_modified(), details.modified),
        (!handle.changes.is_empty(), !handle.changes.is_empty())
    );
    let view = handle.view();
    // They are ordered as they stand in a record.
    let mut expected: Vec<(&String, &Held)> = view.iter().collect();
    expected.sort_by_key(|(name, _)| escape(name));
    let entries = session.entries().unwrap();
    let json = session.entries_json().unwrap();
    let members = naive::members(&json).unwrap();
    assert_eq!((entries.len(), members.len()), (expected.len(), expected.len()));
    for (index, (name, held)) in expected.into_iter().enumerate() {
        assert_eq!(
            (name, Some(held)),
            (&entries[index].0, Held::new(&entries[index].1).as_ref())
        );
        assert_eq!(Held::new(&session.get(name).unwrap()).as_ref(), Some(held));
        assert_eq!(name, &members[index].0);
        if let Some(plain) = held.plain() {
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(members[index].1).unwrap(),
                plain
            );
        }
    }
}
