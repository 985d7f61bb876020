//! Chaos: two services over one store under mixed load, while the store is randomly killed, cut off, slowed and silenced.
//!
//! Each client keeps a ledger (`ledger`) of its sessions with all acknowledged, refused and unknown results.
//! The ledger determines the allowed responses.
//! At the end, everything that was acknowledged is searched for and counted (`audit`).

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

mod audit;
mod caller;
mod client;
mod faults;
mod inject;
mod instance;
mod ledger;
mod on_one;
mod on_subject;
mod store;
mod stream;
mod tally;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use client::LoadClient;
use instance::Instance;
pub use ledger::{Counts, DEEDS, Deed};
pub use store::Store;
use stream::StreamClient;
pub use tally::Report;
use world::World;

use crate::servers::Gauge;

/// The default seed.
pub const SEED: u64 = 20_261_122;

const CLIENTS: usize = 8;
/// The clients of streams, each with a sender.
const STREAMS: usize = 4;
/// The allowed growth of descriptors: ten connections to a database, one of each client, and a few more.
const DESCRIPTOR_SLACK: usize = 10 + CLIENTS + 4 * STREAMS + 4;
/// The allowed growth of memory after the warm-up, in bytes, if this is more than doubling.
const RESIDENT_SLACK: u64 = 64 << 20;

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
    let mut streams: Vec<StreamClient<'_>> = (0..STREAMS)
        .map(|number| StreamClient::new(&world, number, seed))
        .collect();
    let warm = std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| client.load());
        }
        for stream in &mut streams {
            let sender = stream.sender();
            scope.spawn(move || sender.send(seed));
            scope.spawn(|| stream.receive());
        }
        let warm = inject::rage(&world, &place, seed, load);
        world.is_over.store(true, Ordering::Relaxed);
        warm
    });
    world.audit_shared(&mut clients[0]);
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| client.audit());
        }
        for stream in &mut streams {
            scope.spawn(|| stream.audit());
        }
    });
    let gauges: Vec<[Gauge; 2]> = warm
        .into_iter()
        .zip(world.gauges())
        .map(|(before, after)| [before, after])
        .collect();
    drop((clients, streams));
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
