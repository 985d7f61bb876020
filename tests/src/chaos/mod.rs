//! Load with faults: two services over one store, clients that do everything at once, and what they were told held against
//! what is there, while the store is killed, cut off, slowed and silenced by chance.
//!
//! Each client keeps a ledger ([`ledger`]) of its own sessions: what was acknowledged, what was refused, and what nobody knows.
//! From it follows what each answer may be; at the end everything acknowledged is looked for and counted ([`audit`]).

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

/// Chance is drawn from this unless it is told otherwise.
pub const SEED: u64 = 20_261_122;

/// Every call is answered within this; a store gives up long before.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const CLIENTS: usize = 8;
const SHARED_SESSIONS: usize = 2;
/// Between two calls of a client, in milliseconds: load, and room for others on the machine.
const THINKING: [u64; 2] = [1, 10];
/// Connections that a service may have at one time and not at another: ten to a database, one of each client, and a few.
const DESCRIPTOR_SLACK: usize = 10 + CLIENTS + 4;
/// What memory may grow by after the warm-up, unless it doubles less.
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

/// What all threads share.
struct World {
    instances: Vec<Instance>,
    /// The service key.
    key: String,
    /// How old may be what one instance answers of the other's writes.
    max_stale: Duration,
    shared: Vec<Shared>,
    /// The token of a session that is asked for after each fault.
    probed: String,
    tally: Tally,
    /// Held by every call; who has it alone has silence.
    gate: RwLock<()>,
    is_over: AtomicBool,
}

/// Loads a store for so long, and says what was acknowledged and what was found.
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

    /// What is taken of the machine does not grow.
    fn check_level(&self, before: &Gauge, after: &Gauge) {
        if after.descriptors > before.descriptors + DESCRIPTOR_SLACK {
            self.tally.wrong(format!(
                "{} descriptors, then {}",
                before.descriptors, after.descriptors
            ));
        }
        if after.resident > (before.resident * 2).max(before.resident + RESIDENT_SLACK) {
            self.tally.wrong(format!(
                "{} bytes of memory, then {}",
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
