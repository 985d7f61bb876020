//! A host in small: sessions as data, the entry that each has seen last, and the engine's functions over both.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tessera_contract::state::{Failed, Fields, Opened, State, StateError, WRITER_BYTES, Writing};
use tessera_contract::{Change, Details, Status, Timestamp, Value};
use tessera_guest::call::Call;
use tessera_guest::engine::Engine;
use tessera_guest::error::{Error, Kind};
use tessera_guest::keys::SigningKey;
use tessera_guest::policy::{FieldRule, Policy};
use tessera_guest::ports::{
    Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Ports, StoreError,
};
use tessera_guest::session;
use tessera_guest::view::{self, Grant, Written};
use tessera_guest::snapshot::KeepFields;

use crate::fixture::Fixture;

/// Why a call on a session did not do as asked.
#[derive(Debug)]
pub enum Refused {
    /// The session itself refuses it.
    Here(StateError),
    /// The engine does.
    Engine(Error),
}

impl From<StateError> for Refused {
    fn from(error: StateError) -> Self {
        Self::Here(error)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl Refused {
    /// Whether the engine refuses it for this.
    pub fn is(&self, kind: Kind) -> bool {
        matches!(self, Self::Engine(error) if error.is(kind))
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Here(StateError::Closed))
    }
}

/// A record as a session's calls read or wrote it last.
#[derive(Clone)]
pub struct Seed {
    pub key: String,
    pub entry: Entry,
}

/// The ports of one call: its first `get` that is not fresh is answered by the seed, and what it reads and writes is noted.
struct Asking<'a> {
    fixture: &'a Fixture,
    seed: Option<Seed>,
    has_read: Cell<bool>,
    saw: RefCell<BTreeMap<String, Entry>>,
}

impl<'a> Asking<'a> {
    fn new(fixture: &'a Fixture, seed: Option<&Seed>) -> Self {
        let seed = seed.cloned();
        let saw = seed.iter().map(|seed| (seed.key.clone(), seed.entry.clone()));
        Self {
            fixture,
            saw: RefCell::new(saw.collect()),
            seed,
            has_read: Cell::new(false),
        }
    }

    fn note(&self, key: &str, value: &str, version: u64, at: &Placement<'_>) {
        let mut saw = self.saw.borrow_mut();
        let kept = saw.get(key).map_or(0, |entry| entry.guard);
        let entry = Entry {
            value: value.into(),
            version,
            guard: at.guard.unwrap_or(kept),
            expires_at: at.expires_at,
        };
        saw.insert(key.into(), entry);
    }
}

impl Ports for Asking<'_> {
    fn now(&self) -> u64 {
        self.fixture.now()
    }

    fn random(&self, count: u32) -> Vec<u8> {
        self.fixture.random(count)
    }

    fn describe(&self) -> Capabilities {
        self.fixture.describe()
    }

    fn get(&self, key: &str, fresh: bool) -> Result<Entry, StoreError> {
        let is_first = !self.has_read.replace(true);
        if let Some(seed) = &self.seed
            && is_first
            && !fresh
            && seed.key == key
            && seed.entry.expires_at > self.fixture.now()
        {
            return Ok(seed.entry.clone());
        }
        let answer = self.fixture.get(key, fresh);
        let mut saw = self.saw.borrow_mut();
        match &answer {
            Ok(entry) => drop(saw.insert(key.into(), entry.clone())),
            Err(_) => drop(saw.remove(key)),
        }
        answer
    }

    fn get_many(&self, keys: &[String]) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        self.fixture.get_many(keys)
    }

    fn insert(&self, key: &str, value: &str, at: &Placement<'_>) -> Result<u64, StoreError> {
        let version = self.fixture.insert(key, value, at)?;
        self.note(key, value, version, at);
        Ok(version)
    }

    fn replace(
        &self,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement<'_>,
    ) -> Result<u64, StoreError> {
        let version = self.fixture.replace(key, value, expected, at)?;
        self.note(key, value, version, at);
        Ok(version)
    }

    fn touch(&self, key: &str, owner: Option<&str>, expires_at: u64) -> Result<(), StoreError> {
        self.fixture.touch(key, owner, expires_at)?;
        if let Some(entry) = self.saw.borrow_mut().get_mut(key) {
            entry.expires_at = entry.expires_at.max(expires_at);
        }
        Ok(())
    }

    fn delete(&self, key: &str, condition: Condition<'_>) -> Result<bool, StoreError> {
        self.fixture.delete(key, condition)
    }

    fn delete_many(&self, deletions: Vec<Deletion>, owner: &str) -> Result<u32, StoreError> {
        self.fixture.delete_many(deletions, owner)
    }

    fn list_owned(&self, owner: &str, cursor: &str, limit: u32) -> Result<Page, StoreError> {
        self.fixture.list_owned(owner, cursor, limit)
    }
}

/// An engine over a fixture.
pub struct Host {
    pub fixture: Fixture,
    pub engine: Rc<Engine>,
    pub policy: Policy,
}

impl Host {
    pub fn new(fixture: Fixture, policy: Policy, keys: &[SigningKey]) -> Result<Self, Error> {
        let engine = Engine::configure(&Call::new(&fixture), policy.clone(), keys)?;
        Ok(Self {
            fixture,
            engine,
            policy,
        })
    }

    pub fn draft(&self) -> Session {
        Session {
            state: State::draft(session::draft(&self.engine).into()),
            seed: None,
        }
    }

    pub fn open(&self, token: &str) -> Result<Session, Error> {
        let asking = Asking::new(&self.fixture, None);
        let opened = self.engine.open(&Call::new(&asking), token)?;
        assert!(opened.holds_until > self.fixture.now.get());
        let (opened, seed) = self.taken(&asking, opened);
        Ok(Session {
            state: State::opened(opened),
            seed: Some(seed),
        })
    }

    /// What the engine has answered, with the fields of the entry that the call read or wrote last.
    fn taken(&self, asking: &Asking<'_>, opened: view::Opened) -> (Arc<Opened>, Seed) {
        let entry = asking.saw.borrow().get(&opened.key).cloned();
        let entry = entry.expect("the call has read or written the record");
        assert_eq!(opened.version, entry.version);
        assert_eq!(opened.details.expires_at, entry.expires_at);
        let fields = Fields::new(entry.value.as_str().into(), opened.fields_at as usize);
        let seed = Seed {
            key: opened.key.clone(),
            entry,
        };
        let view::Details {
            public_id,
            subject,
            created_at,
            authenticated_at,
            expires_at,
            ends_at,
            generation,
            touch_due,
            renew_due,
            reissue_due,
        } = opened.details;
        let details = Details {
            status: Status::Live,
            public_id,
            subject,
            created_at: Timestamp::from_millis(created_at),
            authenticated_at: authenticated_at.map(Timestamp::from_millis),
            expires_at: Timestamp::from_millis(expires_at),
            ends_at: Timestamp::from_millis(ends_at),
            generation,
            touch_due,
            renew_due,
            reissue_due,
            modified: false,
        };
        let opened = Opened {
            handle: opened.handle,
            key: opened.key.into(),
            version: opened.version,
            details,
            asked_at: Timestamp::from_millis(self.fixture.now.get()),
            holds_until: Timestamp::from_millis(opened.holds_until),
            fields: Arc::new(fields.expect("the fields begin where the engine says")),
        };
        (Arc::new(opened), seed)
    }
}

/// A session as a host keeps it.
pub struct Session {
    pub state: State,
    seed: Option<Seed>,
}

impl Session {
    /// The version of the entry that its calls have seen last.
    pub fn seed_version(&self) -> Option<u64> {
        self.seed.as_ref().map(|seed| seed.entry.version)
    }

    /// A host MAY forget what a session has seen.
    pub fn forget_seed(&mut self) {
        self.seed = None;
    }

    pub fn fork(&self) -> Result<Self, StateError> {
        Ok(Self {
            state: self.state.fork()?,
            seed: self.seed.clone(),
        })
    }

    pub fn update(
        &mut self,
        host: &Host,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<(), StateError> {
        self.state.update(changes, &host.policy.field_limits())
    }

    pub fn set(&mut self, host: &Host, name: &str, value: &Value) -> Result<(), StateError> {
        self.update(host, [(name.to_owned(), Some(value.clone()))])
    }

    pub fn save(&mut self, host: &Host) -> Result<Grant, Refused> {
        self.write(host, session::save)
    }

    pub fn rotate(&mut self, host: &Host) -> Result<Grant, Refused> {
        self.write(host, session::rotate)
    }

    pub fn authenticate(&mut self, host: &Host, subject: &str, keep: &KeepFields) -> Result<Grant, Refused> {
        self.write(host, |engine, call, writing| {
            session::authenticate(engine, call, writing, subject, keep)
        })
    }

    /// A call that asks the store: none other can be made meanwhile.
    fn call<T>(
        &mut self,
        host: &Host,
        work: impl FnOnce(&mut Self, &Asking<'_>) -> Result<T, Error>,
    ) -> Result<T, Refused> {
        self.state.begin()?;
        assert_eq!(self.state.begin(), Err(StateError::Busy));
        assert_eq!(self.state.get("a"), Err(StateError::Busy));
        let asking = Asking::new(&host.fixture, self.seed.as_ref());
        let ended = work(self, &asking);
        // What a call that failed has read is what the next one begins with.
        if let (Err(_), Some(seed)) = (&ended, &self.seed) {
            let saw = asking.saw.borrow().get(&seed.key).cloned();
            self.seed = saw.map(|entry| Seed {
                key: seed.key.clone(),
                entry,
            });
        }
        self.state.end();
        Ok(ended?)
    }

    fn writing(&mut self, host: &Host) -> Writing {
        let draw = || Ok::<_, ()>(host.fixture.random(WRITER_BYTES as u32).try_into().unwrap());
        self.state.writing(draw).unwrap()
    }

    /// The fields as they were when the changes were made, unless the call is known to begin with that very version.
    fn base(&self, host: &Host) -> Option<String> {
        let begins_with = self
            .seed
            .as_ref()
            .filter(|seed| seed.entry.expires_at > host.fixture.now.get())
            .map(|seed| seed.entry.version);
        (host.policy.field_rule == FieldRule::Conflict)
            .then(|| self.state.base(begins_with))
            .flatten()
    }

    fn write(
        &mut self,
        host: &Host,
        write: impl FnOnce(&Engine, &Call<'_>, session::Writing<'_>) -> Result<Written, Error>,
    ) -> Result<Grant, Refused> {
        self.call(host, |own, asking| {
            let base = own.base(host);
            let writing = own.writing(host);
            let ended = write(
                &host.engine,
                &Call::new(asking),
                session::Writing {
                    handle: &writing.handle,
                    changes: &writing.changes,
                    writer: &writing.writer,
                    attempt: writing.attempt,
                    base: base.as_deref(),
                },
            );
            match ended {
                Ok(written) => {
                    let (opened, seed) = host.taken(asking, written.opened);
                    own.state.written(opened);
                    own.seed = Some(seed);
                    Ok(written.grant)
                }
                Err(error) => {
                    own.state.failed(match error.kind() {
                        Kind::Missing | Kind::Expired | Kind::TooManySessions => Failed::Ended,
                        Kind::OutcomeUnknown => Failed::OutcomeUnknown,
                        _ => Failed::Otherwise,
                    });
                    Err(error)
                }
            }
        })
    }

    pub fn touch(&mut self, host: &Host) -> Result<bool, Refused> {
        self.state.saved()?;
        self.call(host, |own, asking| {
            let writing = own.writing(host);
            let ended = session::touch(
                &host.engine,
                &Call::new(asking),
                &writing.handle,
                &writing.writer,
                writing.attempt,
            );
            match ended {
                Ok(written) => {
                    let (opened, seed) = host.taken(asking, written.opened);
                    own.state.touched(opened);
                    own.seed = Some(seed);
                    Ok(written.wrote)
                }
                Err(error) => {
                    if matches!(error.kind(), Kind::Missing | Kind::Expired) {
                        own.state.failed(Failed::Ended);
                    }
                    Err(error)
                }
            }
        })
    }

    fn handle(&self) -> Result<String, StateError> {
        Ok(self.state.saved()?.handle.clone())
    }

    pub fn reissue(&mut self, host: &Host) -> Result<Grant, Refused> {
        let handle = self.handle()?;
        self.call(host, |own, asking| {
            let written = session::reissue(&host.engine, &Call::new(asking), &handle)?;
            let (opened, seed) = host.taken(asking, written.opened);
            own.state.reissued(&opened);
            own.seed = Some(seed);
            Ok(written.grant)
        })
    }

    pub fn destroy(&mut self, host: &Host) -> Result<(), Refused> {
        let handle = match self.state.live()? {
            Some(opened) => opened.handle.clone(),
            None => session::draft(&host.engine),
        };
        self.call(host, |own, asking| {
            session::destroy(&host.engine, &Call::new(asking), &handle)?;
            own.state.close();
            own.seed = None;
            Ok(())
        })
    }

    pub fn csrf_token(&mut self, host: &Host) -> Result<String, Refused> {
        let handle = self.handle()?;
        self.call(host, |_, asking| {
            session::csrf_token(&host.engine, &Call::new(asking), &handle)
        })
    }

    pub fn check_csrf_token(&mut self, host: &Host, token: &str) -> Result<(), Refused> {
        let handle = self.handle()?;
        self.call(host, |_, asking| {
            session::check_csrf_token(&host.engine, &Call::new(asking), &handle, token)
        })
    }

    /// What is known of it by now.
    pub fn inspect(&mut self, host: &Host) -> Result<Details, Refused> {
        let handle = self.handle()?;
        self.call(host, |own, asking| {
            let opened = session::inspect(&host.engine, &Call::new(asking), &handle)?;
            let (opened, seed) = host.taken(asking, opened);
            own.seed = Some(seed);
            own.state.renew_details(&opened);
            Ok(())
        })?;
        Ok(self.state.details()?)
    }
}
