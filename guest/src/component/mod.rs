//! The only module that depends on WIT. It implements [`Ports`] over the imports, and the exports over [`Engine`] and
//! [`session`].

#![expect(
    unsafe_code,
    reason = "wit-bindgen generates the canonical ABI's exports and memory handling"
)]
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

mod allocator;
mod bindings;
mod convert;

use std::cell::Cell;
use std::rc::Rc;

use crate::call::Call;
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::keys::SigningKey;
use crate::ports::{self, Condition, Deletion, Expected, Placement, Ports, StoreError};
use crate::{policy, session, subject};

use bindings::{clock, random, sessions_wit, store, wit};
use convert::*;

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

bindings::export!(Component with_types_in bindings);

/// The configured engines, by number.
#[derive(Default)]
struct Engines {
    last: u32,
    by_id: Vec<(u32, Rc<Engine>)>,
}

const MAXIMUM_ENGINES: usize = 64;

thread_local! {
    static ENGINES: Cell<Engines> = const {
        Cell::new(Engines {
            last: 0,
            by_id: Vec::new(),
        })
    };
}

/// Runs `work` on the engines. They are in a `Cell`, because a `RefCell` adds code that panics.
fn with_engines<T>(work: impl FnOnce(&mut Engines) -> T) -> T {
    let mut engines = ENGINES.take();
    let done = work(&mut engines);
    ENGINES.set(engines);
    done
}

fn engine(id: u32) -> Result<Rc<Engine>, wit::Error> {
    let found = with_engines(|engines| {
        let mut engines = engines.by_id.iter();
        engines
            .find(|(known, _)| *known == id)
            .map(|(_, engine)| Rc::clone(engine))
    });
    found.ok_or_else(|| Error::about(Kind::InvalidArgument, "engine", "is not configured").into())
}

#[inline(never)]
fn configure(policy: wit::Policy, keys: Vec<wit::SigningKey>) -> Result<u32, wit::Error> {
    let (policy, keys) = (policy_in(policy), keys_in(keys));
    // The arguments are in the memory of the call, so that the engine keeps a copy.
    allocator::keep(|| keep_engine(policy.clone(), &keys))
}

fn keep_engine(policy: policy::Policy, keys: &[SigningKey]) -> Result<u32, wit::Error> {
    let engine = Engine::configure(&call(), policy, keys)?;
    with_engines(|engines| {
        if engines.by_id.len() >= MAXIMUM_ENGINES || engines.last == u32::MAX {
            return Err(Error::limit("engines", MAXIMUM_ENGINES as u64).into());
        }
        engines.last += 1;
        engines.by_id.push((engines.last, engine));
        Ok(engines.last)
    })
}

fn release(engine: u32) {
    with_engines(|engines| engines.by_id.retain(|(known, _)| *known != engine));
}

impl sessions_wit::Guest for Component {
    fn starting_policy(preset: wit::Preset) -> wit::Policy {
        policy_out(policy::Policy::starting(match preset {
            wit::Preset::Standard => policy::Preset::Standard,
            wit::Preset::Aal1 => policy::Preset::Aal1,
            wit::Preset::Aal2 => policy::Preset::Aal2,
            wit::Preset::Aal3 => policy::Preset::Aal3,
        }))
    }

    fn configure(policy: wit::Policy, keys: Vec<wit::SigningKey>) -> Result<u32, wit::Error> {
        configure(policy, keys)
    }

    fn release(engine: u32) {
        release(engine);
    }

    fn draft(id: u32) -> Result<String, wit::Error> {
        Ok(session::draft(&*engine(id)?))
    }

    fn open(id: u32, token: String) -> Result<sessions_wit::Opened, wit::Error> {
        Ok(opened_out(engine(id)?.open(&call(), &token)?))
    }

    fn inspect(id: u32, handle: String) -> Result<sessions_wit::Opened, wit::Error> {
        Ok(opened_out(session::inspect(&*engine(id)?, &call(), &handle)?))
    }

    fn standing(id: u32, handle: String) -> Result<u64, wit::Error> {
        Ok(session::standing(&*engine(id)?, &call(), &handle)?)
    }

    fn save(id: u32, writing: sessions_wit::Writing) -> Result<sessions_wit::Written, wit::Error> {
        Ok(written_out(session::save(
            &*engine(id)?,
            &call(),
            writing_in(&writing),
        )?))
    }

    fn rotate(id: u32, writing: sessions_wit::Writing) -> Result<sessions_wit::Written, wit::Error> {
        Ok(written_out(session::rotate(
            &*engine(id)?,
            &call(),
            writing_in(&writing),
        )?))
    }

    fn authenticate(
        id: u32,
        writing: sessions_wit::Writing,
        subject: String,
        keep: wit::KeepFields,
    ) -> Result<sessions_wit::Written, wit::Error> {
        let (engine, keep) = (engine(id)?, keep_fields_in(keep));
        let written = session::authenticate(&*engine, &call(), writing_in(&writing), &subject, &keep)?;
        Ok(written_out(written))
    }

    fn touch(
        id: u32,
        handle: String,
        writer: Vec<u8>,
        attempt: u32,
    ) -> Result<sessions_wit::Written, wit::Error> {
        Ok(written_out(session::touch(
            &*engine(id)?,
            &call(),
            &handle,
            &writer,
            attempt,
        )?))
    }

    fn reissue(id: u32, handle: String) -> Result<sessions_wit::Written, wit::Error> {
        Ok(written_out(session::reissue(&*engine(id)?, &call(), &handle)?))
    }

    fn destroy(id: u32, handle: String) -> Result<(), wit::Error> {
        Ok(session::destroy(&*engine(id)?, &call(), &handle)?)
    }

    fn csrf_token(id: u32, handle: String) -> Result<String, wit::Error> {
        Ok(session::csrf_token(&*engine(id)?, &call(), &handle)?)
    }

    fn check_csrf_token(id: u32, handle: String, token: String) -> Result<(), wit::Error> {
        Ok(session::check_csrf_token(
            &*engine(id)?,
            &call(),
            &handle,
            &token,
        )?)
    }

    fn verify(id: u32, token: String, max_age_ms: Option<u64>) -> Result<wit::Claims, wit::Error> {
        Ok(claims_out(engine(id)?.verify(&call(), &token, max_age_ms)?))
    }

    fn list_sessions(
        id: u32,
        subject: String,
        current: Option<String>,
        cursor: Option<String>,
    ) -> Result<wit::Summaries, wit::Error> {
        let (current, cursor) = (current.as_deref(), cursor.as_deref());
        let listed = subject::list(&*engine(id)?, &call(), &subject, current, cursor)?;
        Ok(summaries_out(listed))
    }

    fn revoke(
        id: u32,
        subject: String,
        public_id: String,
        cursor: Option<String>,
    ) -> Result<wit::Progress, wit::Error> {
        let revoked = subject::revoke(&*engine(id)?, &call(), &subject, &public_id, cursor.as_deref())?;
        Ok(progress_out(revoked))
    }

    fn revoke_all(
        id: u32,
        subject: String,
        except: Option<String>,
        cursor: Option<String>,
    ) -> Result<wit::Progress, wit::Error> {
        let (except, cursor) = (except.as_deref(), cursor.as_deref());
        let revoked = subject::revoke_all(&*engine(id)?, &call(), &subject, except, cursor)?;
        Ok(progress_out(revoked))
    }

    fn jwt_key(id: u32, key_id: String) -> Result<Vec<u8>, wit::Error> {
        Ok(engine(id)?.jwt_key(&key_id)?)
    }
}
