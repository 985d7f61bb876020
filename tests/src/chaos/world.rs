//! The state of a run, and the sessions that all clients write.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::instance::Instance;
use super::ledger::{Deed, Fields};
use super::store::Store;
use super::tally::Tally;
use crate::http_client::Client;
use crate::servers::Gauge;

const SHARED_SESSIONS: usize = 2;

/// A session that all clients write.
pub(super) struct Shared {
    pub(super) token: String,
    fields: Mutex<Fields>,
}

impl Shared {
    pub(super) fn fields(&self) -> MutexGuard<'_, Fields> {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state that all threads share.
pub(super) struct World {
    pub(super) instances: Vec<Instance>,
    /// The service key.
    pub(super) key: String,
    /// The maximum staleness of one instance's reads after the other's writes.
    pub(super) max_stale: Duration,
    pub(super) shared: Vec<Shared>,
    /// The token of the session that is probed after each fault.
    pub(super) probed: String,
    pub(super) tally: Tally,
    /// Every call holds a read lock. The write lock stops all load.
    pub(super) gate: RwLock<()>,
    pub(super) is_over: AtomicBool,
}

impl World {
    pub(super) fn new(store: Store, instances: Vec<Instance>, data: &Path) -> Self {
        let key = std::fs::read_to_string(data.join("service-key")).expect("a service key");
        let key = key.trim().to_owned();
        let mut client = Client::new(&instances[0].address);
        let tally = Tally::default();
        let shared = (0..SHARED_SESSIONS).map(|_| {
            tally.acknowledge(Deed::Create);
            Shared {
                token: client.create(&key, Some("all")),
                fields: Mutex::default(),
            }
        });
        let shared = shared.collect();
        let probed = client.create(&key, Some("probe"));
        Self {
            instances,
            key,
            max_stale: store.max_stale(),
            shared,
            probed,
            tally,
            gate: RwLock::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// The resource usage of the instances while no client sends calls.
    pub(super) fn gauges(&self) -> Vec<Gauge> {
        let _nobody = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.instances.iter().map(|instance| instance.gauge()).collect()
    }
}
