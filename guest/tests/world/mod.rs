//! A clock that stands where it is put, random bytes that count, and a store in memory.

// Each test program uses another part of it.
#![allow(dead_code, unreachable_pub)]
#![expect(clippy::unwrap_used, reason = "this is a part of tests")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tessera_guest::call::Call;
use tessera_guest::engine::Engine;
use tessera_guest::error::Error;
use tessera_guest::keys::SigningKey;
use tessera_guest::policy::Policy;
use tessera_guest::ports::{
    Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Ports, StoreError,
};
use tessera_guest::session::Writing;
use tessera_guest::view::Written;

/// All that the engine asks of.
pub struct World {
    pub now: Cell<u64>,
    /// How old the store says that its answers may be.
    pub staleness: Cell<u64>,
    /// What the host answers the first `get` with that is not fresh.
    pub seed: RefCell<Option<(String, Entry)>>,
    /// The questions to the store, by a word each.
    pub asked: RefCell<Vec<&'static str>>,
    drawn: Cell<u8>,
    version: Cell<u64>,
    records: RefCell<BTreeMap<String, Entry>>,
}

impl World {
    pub fn at(now: u64) -> Self {
        Self {
            now: Cell::new(now),
            staleness: Cell::new(0),
            seed: RefCell::default(),
            asked: RefCell::default(),
            drawn: Cell::new(0),
            version: Cell::new(0),
            records: RefCell::default(),
        }
    }

    pub fn engine(&self, policy: &Policy) -> Rc<Engine> {
        let key = SigningKey {
            id: "k".into(),
            secret: vec![7; 32],
        };
        Engine::configure(&Call::new(self), policy.clone(), &[key]).unwrap()
    }

    /// The record under a key, whether it lives or not.
    pub fn entry(&self, key: &str) -> Entry {
        self.records.borrow()[key].clone()
    }

    /// Puts a record there as it is.
    pub fn put(&self, key: &str, entry: Entry) {
        self.records.borrow_mut().insert(key.into(), entry);
    }

    /// Makes a write by a writer of this name.
    pub fn write(
        &self,
        handle: &str,
        changes: &str,
        name: u8,
        attempt: u32,
        write: impl FnOnce(&Call<'_>, Writing<'_>) -> Result<Written, Error>,
    ) -> Result<Written, Error> {
        let writing = Writing {
            handle,
            changes,
            writer: &[name; 22],
            attempt,
            base: None,
        };
        write(&Call::new(self), writing)
    }

    fn live(&self, key: &str) -> Result<Entry, StoreError> {
        let entry = self.records.borrow().get(key).cloned();
        entry
            .filter(|entry| entry.expires_at > self.now.get())
            .ok_or(StoreError::Missing)
    }

    fn ask(&self, question: &'static str) {
        self.asked.borrow_mut().push(question);
    }

    fn store(&self, key: &str, value: &str, at: &Placement<'_>, guard: u64) -> u64 {
        self.version.set(self.version.get() + 1);
        let entry = Entry {
            value: value.into(),
            version: self.version.get(),
            guard: at.guard.unwrap_or(guard),
            expires_at: at.expires_at,
        };
        self.put(key, entry);
        self.version.get()
    }
}

impl Ports for World {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn random(&self, count: u32) -> Vec<u8> {
        self.drawn.set(self.drawn.get() + 1);
        vec![self.drawn.get(); count as usize]
    }

    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            acknowledged_writes_survive_failover: true,
            maximum_staleness_ms: self.staleness.get(),
            index_staleness_ms: 0,
            minimum_ttl_ms: 0,
            expiry_resolution_ms: 1,
            minimum_write_interval_ms: 0,
            maximum_key_bytes: 1024,
            maximum_owner_bytes: 1024,
            maximum_value_bytes: 1 << 20,
        }
    }

    fn get(&self, key: &str, fresh: bool) -> Result<Entry, StoreError> {
        if !fresh && let Some((_, seed)) = self.seed.take().filter(|(seeded, _)| seeded == key) {
            return Ok(seed);
        }
        self.ask(if fresh { "get fresh" } else { "get" });
        self.live(key)
    }

    fn get_many(&self, keys: &[String]) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        self.ask("get-many");
        Ok(keys.iter().map(|key| self.live(key)).collect())
    }

    fn insert(&self, key: &str, value: &str, at: &Placement<'_>) -> Result<u64, StoreError> {
        self.ask("insert");
        match self.live(key) {
            Ok(_) => Err(StoreError::Stale),
            Err(_) => Ok(self.store(key, value, at, 0)),
        }
    }

    fn replace(
        &self,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement<'_>,
    ) -> Result<u64, StoreError> {
        self.ask("replace");
        let entry = self.live(key)?;
        let is_met = match expected {
            Expected::Version(version) => version == entry.version,
            Expected::Guard(guard) => guard == entry.guard,
        };
        if is_met {
            Ok(self.store(key, value, at, entry.guard))
        } else {
            Err(StoreError::Stale)
        }
    }

    fn touch(&self, key: &str, _: Option<&str>, expires_at: u64) -> Result<(), StoreError> {
        self.ask("touch");
        let entry = self.live(key)?;
        self.put(key, Entry { expires_at, ..entry });
        Ok(())
    }

    fn delete(&self, key: &str, condition: Condition<'_>) -> Result<bool, StoreError> {
        self.ask("delete");
        let Ok(entry) = self.live(key) else {
            return Ok(false);
        };
        if condition != Condition::Guard(entry.guard) {
            return Err(StoreError::Stale);
        }
        self.records.borrow_mut().remove(key);
        Ok(true)
    }

    fn delete_many(&self, _: Vec<Deletion>, _: &str) -> Result<u32, StoreError> {
        Err(StoreError::Unsupported)
    }

    fn list_owned(&self, _: &str, _: &str, _: u32) -> Result<Page, StoreError> {
        Err(StoreError::Unsupported)
    }
}
