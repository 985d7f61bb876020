//! A clock that stands where it is put, random bytes that count, and a store in memory whose answers can get lost.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;

use tessera_guest::ports::{
    Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Ports, Row, StoreError,
};

/// What becomes of the next write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// It is done and answered.
    #[default]
    None,
    /// It is done, and its answer lost.
    AnswerLost,
    /// It is lost on its way.
    Lost,
}

struct Stored {
    value: String,
    version: u64,
    guard: u64,
    owner: Option<String>,
    expires_at: u64,
    ends_at: u64,
}

/// All that the engine asks of.
#[derive(Default)]
pub struct Fixture {
    pub now: Cell<u64>,
    pub fault: Cell<Fault>,
    /// Rows of a page, for lists that end early; 0 is as many as asked for.
    pub page: Cell<usize>,
    /// How many questions the store was asked.
    pub asked: Cell<u32>,
    drawn: Cell<u64>,
    version: Cell<u64>,
    records: RefCell<BTreeMap<String, Stored>>,
}

impl Fixture {
    pub fn at(now: u64) -> Self {
        let fixture = Self::default();
        fixture.now.set(now);
        fixture
    }

    /// How many records live.
    pub fn len(&self) -> usize {
        let records = self.records.borrow();
        records.values().filter(|stored| self.lives(stored)).count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lives(&self, stored: &Stored) -> bool {
        stored.expires_at > self.now.get()
    }

    /// Judges whether a write reaches the store, does it, and loses its answer where that is due.
    fn write<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.ask();
        match self.fault.take() {
            Fault::None => write(),
            Fault::AnswerLost => write().and(Err(StoreError::OutcomeUnknown)),
            Fault::Lost => Err(StoreError::OutcomeUnknown),
        }
    }

    fn ask(&self) {
        self.asked.set(self.asked.get() + 1);
    }

    fn read(&self, key: &str) -> Result<Entry, StoreError> {
        let records = self.records.borrow();
        let stored = records
            .get(key)
            .filter(|stored| self.lives(stored))
            .ok_or(StoreError::Missing)?;
        Ok(Entry {
            value: stored.value.clone(),
            version: stored.version,
            guard: stored.guard,
            expires_at: stored.expires_at,
        })
    }

    fn store(&self, key: &str, value: &str, at: &Placement<'_>) -> u64 {
        self.version.set(self.version.get() + 1);
        let kept = self.read(key).map_or(0, |entry| entry.guard);
        let stored = Stored {
            value: value.into(),
            version: self.version.get(),
            guard: at.guard.unwrap_or(kept),
            owner: at.owner.map(str::to_owned),
            expires_at: at.expires_at,
            ends_at: at.ends_at,
        };
        self.records.borrow_mut().insert(key.into(), stored);
        self.version.get()
    }
}

impl Ports for Fixture {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn random(&self, count: u32) -> Vec<u8> {
        self.drawn.set(self.drawn.get() + 1);
        let drawn = self.drawn.get().to_le_bytes();
        drawn.into_iter().cycle().take(count as usize).collect()
    }

    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            acknowledged_writes_survive_failover: true,
            maximum_staleness_ms: 0,
            index_staleness_ms: 0,
            minimum_ttl_ms: 0,
            expiry_resolution_ms: 1,
            minimum_write_interval_ms: 0,
            maximum_key_bytes: 1024,
            maximum_owner_bytes: 1024,
            maximum_value_bytes: 1 << 20,
        }
    }

    fn get(&self, key: &str, _fresh: bool) -> Result<Entry, StoreError> {
        self.ask();
        self.read(key)
    }

    fn get_many(&self, keys: &[String]) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        self.ask();
        Ok(keys.iter().map(|key| self.read(key)).collect())
    }

    fn insert(&self, key: &str, value: &str, at: &Placement<'_>) -> Result<u64, StoreError> {
        self.write(|| match self.read(key) {
            Ok(_) => Err(StoreError::Stale),
            Err(_) => Ok(self.store(key, value, at)),
        })
    }

    fn replace(
        &self,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement<'_>,
    ) -> Result<u64, StoreError> {
        self.write(|| {
            let entry = self.read(key)?;
            let is_met = match expected {
                Expected::Version(version) => version == entry.version,
                Expected::Guard(guard) => guard == entry.guard,
            };
            if is_met {
                Ok(self.store(key, value, at))
            } else {
                Err(StoreError::Stale)
            }
        })
    }

    fn touch(&self, key: &str, owner: Option<&str>, expires_at: u64) -> Result<(), StoreError> {
        self.write(|| {
            self.read(key)?;
            let mut records = self.records.borrow_mut();
            let stored = records.get_mut(key).ok_or(StoreError::Missing)?;
            assert_eq!(stored.owner.as_deref(), owner);
            assert!(expires_at <= stored.ends_at);
            stored.expires_at = stored.expires_at.max(expires_at);
            Ok(())
        })
    }

    fn delete(&self, key: &str, condition: Condition<'_>) -> Result<bool, StoreError> {
        self.write(|| {
            let is_met = self.records.borrow().get(key).map(|stored| match condition {
                Condition::Owner(owner) => stored.owner.as_deref() == Some(owner),
                Condition::Guard(guard) => stored.guard == guard,
            });
            let was_there = self.read(key).is_ok();
            match is_met {
                Some(true) => drop(self.records.borrow_mut().remove(key)),
                Some(false) if was_there => return Err(StoreError::Stale),
                _ => {}
            }
            Ok(was_there)
        })
    }

    fn delete_many(&self, deletions: Vec<Deletion>, owner: &str) -> Result<u32, StoreError> {
        let mut deleted = 0;
        for Deletion { key, guard } in deletions {
            let has_guard = self
                .read(&key)
                .is_ok_and(|entry| guard.is_none_or(|guard| guard == entry.guard));
            if has_guard {
                match self.delete(&key, Condition::Owner(owner)) {
                    Ok(was_there) => deleted += u32::from(was_there),
                    Err(StoreError::Stale) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(deleted)
    }

    fn list_owned(&self, owner: &str, cursor: &str, limit: u32) -> Result<Page, StoreError> {
        self.ask();
        let records = self.records.borrow();
        let from = match cursor {
            "" => Bound::Unbounded,
            cursor => Bound::Excluded(cursor),
        };
        let limit = match self.page.get() {
            0 => limit as usize,
            page => page.min(limit as usize),
        };
        let mut live = records
            .range::<str, _>((from, Bound::Unbounded))
            .filter(|(_, stored)| stored.owner.as_deref() == Some(owner) && self.lives(stored));
        let rows: Vec<Row> = live
            .by_ref()
            .take(limit)
            .map(|(key, stored)| Row {
                key: key.clone(),
                version: stored.version,
                guard: stored.guard,
                touched_at: 0,
                expires_at: stored.expires_at,
                value: None,
            })
            .collect();
        let next = live.next().and_then(|_| rows.last()).map(|row| row.key.clone());
        Ok(Page { rows, next })
    }
}
