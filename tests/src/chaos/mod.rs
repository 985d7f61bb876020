//! Chaos: two services over one store under mixed load, while the store is randomly killed, cut off, slowed and silenced.
//!
//! Each client keeps a ledger (`ledger`) of its sessions with all acknowledged, refused and unknown results.
//! The ledger determines the allowed responses.
//! At the end, everything that was acknowledged is searched for and counted (`audit`).

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

mod audit;
mod caller;
mod client;
mod dice;
mod faults;
mod instance;
mod ledger;
mod on_one;
mod on_subject;
mod store;
mod tally;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use client::LoadClient;
pub use instance::Gauge;
use instance::Instance;
use ledger::Fields;
pub use ledger::{Counts, DEEDS, Deed};
pub use store::Store;
pub use tally::Report;
use tally::Tally;

/// The default seed.
pub const SEED: u64 = 20_261_122;

/// The services' time limit for a request. It is much longer than the stores' time limits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const CLIENTS: usize = 8;
const SHARED_SESSIONS: usize = 2;
/// The range of the pause between two calls of a client, in milliseconds.
const THINKING: [u64; 2] = [1, 10];
/// The allowed growth of descriptors: ten connections to a database, one of each client, and a few more.
const DESCRIPTOR_SLACK: usize = 10 + CLIENTS + 4;
/// The allowed growth of memory after the warm-up, in bytes, if this is more than doubling.
const RESIDENT_SLACK: u64 = 64 << 20;

/// A session that all clients write.
struct Shared {
    token: String,
    fields: Mutex<Fields>,
}

impl Shared {
    fn fields(&self) -> MutexGuard<'_, Fields> {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state that all threads share.
struct World {
    instances: Vec<Instance>,
    /// The service key.
    key: String,
    /// The maximum staleness of one instance's reads after the other's writes.
    max_stale: Duration,
    shared: Vec<Shared>,
    /// The token of the session that is probed after each fault.
    probed: String,
    tally: Tally,
    /// Every call holds a read lock. The write lock stops all load.
    gate: RwLock<()>,
    is_over: AtomicBool,
}

/// Loads a store for this time with faults. Reports the acknowledged and the found effects.
pub fn run(store: Store, seed: u64, load: Duration) -> Report {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let (place, url) = store.start(directory.path());
    let instances = ["one", "other"].map(|name| Instance::start(&data, name, &url));
    let world = World::new(store, instances.into(), &data);

    let mut clients: Vec<LoadClient<'_>> = (0..CLIENTS)
        .map(|number| LoadClient::new(&world, number, seed))
        .collect();
    let warm = std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| client.load());
        }
        let warm = faults::rage(&world, &place, seed, load);
        world.is_over.store(true, Ordering::Relaxed);
        warm
    });
    world.audit_shared(&mut clients[0]);
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| client.audit());
        }
    });
    let gauges: Vec<[Gauge; 2]> = warm
        .into_iter()
        .zip(world.gauges())
        .map(|(before, after)| [before, after])
        .collect();
    drop(clients);
    for [before, after] in &gauges {
        world.check_level(before, after);
    }
    Report {
        store: store.name().into(),
        seed,
        load,
        gauges,
        ..world.tally.into_report()
    }
}

impl World {
    fn new(store: Store, instances: Vec<Instance>, data: &std::path::Path) -> Self {
        let key = std::fs::read_to_string(data.join("service-key")).expect("a service key");
        let key = key.trim().to_owned();
        let mut client = crate::http_client::Client::new(&instances[0].address);
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

    /// Checks that resource usage has not grown.
    fn check_level(&self, before: &Gauge, after: &Gauge) {
        if after.descriptors > before.descriptors + DESCRIPTOR_SLACK {
            self.tally.wrong(format!(
                "descriptors grew from {} to {}",
                before.descriptors, after.descriptors
            ));
        }
        if after.resident > (before.resident * 2).max(before.resident + RESIDENT_SLACK) {
            self.tally.wrong(format!(
                "memory grew from {} to {} bytes",
                before.resident, after.resident
            ));
        }
    }
}

impl LoadClient<'_> {
    fn load(&mut self) {
        let [least, most] = THINKING;
        while !self.world.is_over.load(Ordering::Relaxed) && !self.world.tally.is_wrong() {
            {
                let _open = self.world.gate.read().unwrap_or_else(PoisonError::into_inner);
                self.act();
            }
            std::thread::sleep(self.dice.pause(least, most));
        }
    }
}
