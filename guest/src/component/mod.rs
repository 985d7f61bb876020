//! The only module that knows WIT: the imports as [`Ports`], the exports over [`Engine`], [`Session`] and [`flat`].

#![expect(
    unsafe_code,
    reason = "wit-bindgen generates the canonical ABI's exports and memory handling"
)]
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

mod convert;

use std::cell::RefCell;
use std::rc::Rc;

use crate::call::Call;
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::ports::{self, Condition, Deletion, Expected, Placement, Ports, StoreError};
use crate::session::Session;
use crate::{flat, owner, policy};

wit_bindgen::generate!({ path: "../wit", world: "engine", generate_all });

use convert::*;
use exports::tessera::session::flat as flat_wit;
use exports::tessera::session::policy as wit;
use exports::tessera::session::sessions as sessions_wit;
use tessera::session::types as types_wit;
use tessera::session::{clock, random, store};

/// The imports of the component.
struct Host;

fn call() -> Call<'static> {
    Call::new(&Host)
}

impl Ports for Host {
    fn now(&self) -> u64 {
        clock::now()
    }

    fn random(&self, count: u32) -> Vec<u8> {
        random::bytes(count)
    }

    fn describe(&self) -> ports::Capabilities {
        let store::Capabilities {
            compare_and_swap,
            list_by_owner,
            acknowledged_writes_survive_failover,
            maximum_staleness_ms,
            index_staleness_ms,
            minimum_ttl_ms,
            expiry_resolution_ms,
            minimum_write_interval_ms,
            maximum_key_bytes,
            maximum_owner_bytes,
            maximum_value_bytes,
        } = store::describe();
        ports::Capabilities {
            compare_and_swap,
            list_by_owner,
            acknowledged_writes_survive_failover,
            maximum_staleness_ms,
            index_staleness_ms,
            minimum_ttl_ms,
            expiry_resolution_ms,
            minimum_write_interval_ms,
            maximum_key_bytes,
            maximum_owner_bytes,
            maximum_value_bytes,
        }
    }

    fn get(&self, key: &str, fresh: bool) -> Result<ports::Entry, StoreError> {
        store::get(key, fresh).map(entry).map_err(store_error)
    }

    fn get_many(&self, keys: &[String]) -> Result<Vec<Result<ports::Entry, StoreError>>, StoreError> {
        let answers = store::get_many(keys).map_err(store_error)?;
        Ok(answers
            .into_iter()
            .map(|answer| answer.map(entry).map_err(store_error))
            .collect())
    }

    fn insert(&self, key: &str, value: &str, at: &Placement<'_>) -> Result<u64, StoreError> {
        store::insert(key, value, &placement(at)).map_err(store_error)
    }

    fn replace(
        &self,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement<'_>,
    ) -> Result<u64, StoreError> {
        let expected = match expected {
            Expected::Version(version) => store::Expected::Version(version),
            Expected::Guard(guard) => store::Expected::Guard(guard),
        };
        store::replace(key, value, expected, &placement(at)).map_err(store_error)
    }

    fn touch(&self, key: &str, owner: Option<&str>, expires_at: u64) -> Result<(), StoreError> {
        store::touch(key, owner, expires_at).map_err(store_error)
    }

    fn delete(&self, key: &str, condition: Condition<'_>) -> Result<bool, StoreError> {
        let condition = match condition {
            Condition::Owner(owner) => store::Condition::Owner(owner.to_owned()),
            Condition::Guard(guard) => store::Condition::Guard(guard),
        };
        store::delete(key, &condition).map_err(store_error)
    }

    fn delete_many(&self, deletions: Vec<Deletion>, owner: &str) -> Result<u32, StoreError> {
        let deletion = |Deletion { key, guard }| store::Deletion { key, guard };
        let deletions: Vec<store::Deletion> = deletions.into_iter().map(deletion).collect();
        store::delete_many(&deletions, owner).map_err(store_error)
    }

    fn list_owned(&self, owner: &str, cursor: &str, limit: u32) -> Result<ports::Page, StoreError> {
        let page = store::list_owned(owner, cursor, limit).map_err(store_error)?;
        let row = |row: store::Row| ports::Row {
            key: row.key,
            version: row.version,
            guard: row.guard,
            touched_at: row.touched_at,
            expires_at: row.expires_at,
            value: row.value,
        };
        Ok(ports::Page {
            rows: page.rows.into_iter().map(row).collect(),
            next: page.next,
        })
    }
}

/// The component's exports.
struct Component;

export!(Component);

impl sessions_wit::Guest for Component {
    type Engine = EngineHandle;
    type Session = Session;

    fn starting_policy(preset: wit::Preset) -> wit::Policy {
        policy_out(policy::Policy::starting(match preset {
            wit::Preset::Standard => policy::Preset::Standard,
            wit::Preset::Aal1 => policy::Preset::Aal1,
            wit::Preset::Aal2 => policy::Preset::Aal2,
            wit::Preset::Aal3 => policy::Preset::Aal3,
        }))
    }
}

/// An engine that sessions share.
struct EngineHandle(Rc<Engine>);

impl sessions_wit::GuestEngine for EngineHandle {
    fn configure(
        policy: wit::Policy,
        keys: Vec<wit::SigningKey>,
    ) -> Result<sessions_wit::Engine, wit::Error> {
        let engine = Engine::configure(&call(), policy_in(policy), &keys_in(keys))?;
        Ok(sessions_wit::Engine::new(Self(engine)))
    }

    fn create(&self) -> sessions_wit::Session {
        sessions_wit::Session::new(self.0.create())
    }

    fn open(&self, token: String) -> Result<sessions_wit::Session, wit::Error> {
        Ok(sessions_wit::Session::new(self.0.open(&call(), &token)?))
    }

    fn verify(&self, token: String, max_age_ms: Option<u64>) -> Result<wit::Claims, wit::Error> {
        Ok(claims_out(self.0.verify(&call(), &token, max_age_ms)?))
    }

    fn list_sessions(
        &self,
        subject: String,
        current: Option<String>,
        cursor: Option<String>,
    ) -> Result<wit::Summaries, wit::Error> {
        Ok(summaries_out(owner::list(
            &self.0,
            &call(),
            &subject,
            current.as_deref(),
            cursor.as_deref(),
        )?))
    }

    fn revoke(
        &self,
        subject: String,
        reference: String,
        cursor: Option<String>,
    ) -> Result<wit::Progress, wit::Error> {
        Ok(progress_out(owner::revoke(
            &self.0,
            &call(),
            &subject,
            &reference,
            cursor.as_deref(),
        )?))
    }

    fn revoke_all(
        &self,
        subject: String,
        except: Option<String>,
        cursor: Option<String>,
    ) -> Result<wit::Progress, wit::Error> {
        Ok(progress_out(owner::revoke_all(
            &self.0,
            &call(),
            &subject,
            except.as_deref(),
            cursor.as_deref(),
        )?))
    }

    fn jwt_key(&self, key_id: String) -> Result<Vec<u8>, wit::Error> {
        Ok(self.0.jwt_key(&key_id)?)
    }
}

impl sessions_wit::GuestSession for Session {
    fn get(&self, name: String) -> Result<types_wit::Value, wit::Error> {
        Ok(value_out(self.get(&name)?))
    }

    fn set(&self, name: String, value: types_wit::Value) -> Result<(), wit::Error> {
        Ok(self.set(&name, &value_in(value))?)
    }

    fn update(&self, changes: Vec<types_wit::Change>) -> Result<(), wit::Error> {
        Ok(self.update(&changes_in(changes))?)
    }

    fn remove(&self, name: String) -> Result<bool, wit::Error> {
        Ok(self.remove(&name)?)
    }

    fn pop(&self, name: String) -> Result<types_wit::Value, wit::Error> {
        Ok(value_out(self.pop(&name)?))
    }

    fn clear(&self) -> Result<(), wit::Error> {
        Ok(self.clear()?)
    }

    fn entries(&self) -> Result<Vec<types_wit::Field>, wit::Error> {
        Ok(fields_out(self.entries()?))
    }

    fn entries_json(&self) -> Result<String, wit::Error> {
        Ok(self.entries_json()?)
    }

    fn fork(&self) -> Result<sessions_wit::Session, wit::Error> {
        Ok(sessions_wit::Session::new(self.fork()?))
    }

    fn is_modified(&self) -> bool {
        self.is_modified()
    }

    fn details(&self) -> wit::Details {
        details_out(self.details(clock::now()))
    }

    fn save(&self) -> Result<wit::Grant, wit::Error> {
        Ok(grant_out(self.save(&call())?))
    }

    fn rotate(&self) -> Result<wit::Grant, wit::Error> {
        Ok(grant_out(self.rotate(&call())?))
    }

    fn authenticate(&self, subject: String, survivors: wit::Survivors) -> Result<wit::Grant, wit::Error> {
        Ok(grant_out(self.authenticate(
            &call(),
            &subject,
            &survivors_in(survivors),
        )?))
    }

    fn reissue(&self) -> Result<wit::Grant, wit::Error> {
        Ok(grant_out(self.reissue(&call())?))
    }

    fn touch(&self) -> Result<bool, wit::Error> {
        Ok(self.touch(&call())?)
    }

    fn destroy(&self) -> Result<(), wit::Error> {
        Ok(self.destroy(&call())?)
    }

    fn csrf_token(&self) -> Result<String, wit::Error> {
        Ok(self.csrf_token(&call())?)
    }

    fn check_csrf_token(&self, token: String) -> Result<(), wit::Error> {
        Ok(self.check_csrf_token(&token)?)
    }
}

/// The engines of the flat interface, by number.
#[derive(Default)]
struct Engines {
    last: u32,
    by_id: Vec<(u32, Rc<Engine>)>,
}

const MAXIMUM_FLAT_ENGINES: usize = 64;

thread_local! {
    static ENGINES: RefCell<Engines> = RefCell::default();
}

fn flat_engine(id: u32) -> Result<Rc<Engine>, wit::Error> {
    ENGINES
        .with_borrow(|engines| {
            engines
                .by_id
                .iter()
                .find(|(known, _)| *known == id)
                .map(|(_, engine)| Rc::clone(engine))
        })
        .ok_or_else(|| Error::about(Kind::InvalidArgument, "engine", "is not configured").into())
}

impl flat_wit::Guest for Component {
    fn configure(policy: wit::Policy, keys: Vec<wit::SigningKey>) -> Result<u32, wit::Error> {
        let engine = Engine::configure(&call(), policy_in(policy), &keys_in(keys))?;
        ENGINES.with_borrow_mut(|engines| {
            if engines.by_id.len() >= MAXIMUM_FLAT_ENGINES || engines.last == u32::MAX {
                return Err(Error::limit("engines", MAXIMUM_FLAT_ENGINES as u64).into());
            }
            engines.last += 1;
            let id = engines.last;
            engines.by_id.push((id, engine));
            Ok(engines.last)
        })
    }

    fn release(engine: u32) {
        ENGINES.with_borrow_mut(|engines| engines.by_id.retain(|(known, _)| *known != engine));
    }

    fn create(
        engine: u32,
        subject: Option<String>,
        changes: Vec<types_wit::Change>,
    ) -> Result<wit::Grant, wit::Error> {
        Ok(grant_out(flat::create(
            &flat_engine(engine)?,
            &call(),
            subject.as_deref(),
            &changes_in(changes),
        )?))
    }

    fn load(engine: u32, token: String) -> Result<flat_wit::Loaded, wit::Error> {
        let loaded = flat::load(&flat_engine(engine)?, &call(), &token)?;
        Ok(flat_wit::Loaded {
            details: details_out(loaded.details),
            fields: loaded.fields,
            version: loaded.version,
        })
    }

    fn save(
        engine: u32,
        token: String,
        version: u64,
        changes: Vec<types_wit::Change>,
    ) -> Result<wit::Grant, wit::Error> {
        let changes = changes_in(changes);
        Ok(grant_out(flat::save(
            &flat_engine(engine)?,
            &call(),
            &token,
            version,
            &changes,
        )?))
    }

    fn rotate(engine: u32, token: String, changes: Vec<types_wit::Change>) -> Result<wit::Grant, wit::Error> {
        Ok(grant_out(flat::rotate(
            &flat_engine(engine)?,
            &call(),
            &token,
            &changes_in(changes),
        )?))
    }

    fn authenticate(
        engine: u32,
        token: String,
        subject: String,
        survivors: wit::Survivors,
        changes: Vec<types_wit::Change>,
    ) -> Result<wit::Grant, wit::Error> {
        let (survivors, changes) = (survivors_in(survivors), changes_in(changes));
        let engine = flat_engine(engine)?;
        Ok(grant_out(flat::authenticate(
            &engine,
            &call(),
            &token,
            &subject,
            &survivors,
            &changes,
        )?))
    }

    fn reissue(engine: u32, token: String) -> Result<wit::Grant, wit::Error> {
        let call = call();
        Ok(grant_out(
            flat_engine(engine)?.open(&call, &token)?.reissue(&call)?,
        ))
    }

    fn touch(engine: u32, token: String) -> Result<bool, wit::Error> {
        let call = call();
        Ok(flat_engine(engine)?.open(&call, &token)?.touch(&call)?)
    }

    fn destroy(engine: u32, token: String) -> Result<(), wit::Error> {
        let call = call();
        Ok(flat_engine(engine)?.open(&call, &token)?.destroy(&call)?)
    }

    fn verify(engine: u32, token: String, max_age_ms: Option<u64>) -> Result<wit::Claims, wit::Error> {
        Ok(claims_out(flat_engine(engine)?.verify(
            &call(),
            &token,
            max_age_ms,
        )?))
    }

    fn csrf_token(engine: u32, token: String) -> Result<String, wit::Error> {
        let call = call();
        Ok(flat_engine(engine)?.open(&call, &token)?.csrf_token(&call)?)
    }

    fn check_csrf_token(engine: u32, token: String, csrf_token: String) -> Result<(), wit::Error> {
        Ok(flat_engine(engine)?
            .open(&call(), &token)?
            .check_csrf_token(&csrf_token)?)
    }

    fn list_sessions(
        engine: u32,
        subject: String,
        current: Option<String>,
        cursor: Option<String>,
    ) -> Result<wit::Summaries, wit::Error> {
        let engine = flat_engine(engine)?;
        Ok(summaries_out(owner::list(
            &engine,
            &call(),
            &subject,
            current.as_deref(),
            cursor.as_deref(),
        )?))
    }

    fn revoke(
        engine: u32,
        subject: String,
        reference: String,
        cursor: Option<String>,
    ) -> Result<wit::Progress, wit::Error> {
        let engine = flat_engine(engine)?;
        Ok(progress_out(owner::revoke(
            &engine,
            &call(),
            &subject,
            &reference,
            cursor.as_deref(),
        )?))
    }

    fn revoke_all(
        engine: u32,
        subject: String,
        except: Option<String>,
        cursor: Option<String>,
    ) -> Result<wit::Progress, wit::Error> {
        let engine = flat_engine(engine)?;
        Ok(progress_out(owner::revoke_all(
            &engine,
            &call(),
            &subject,
            except.as_deref(),
            cursor.as_deref(),
        )?))
    }
}
