//! Soak: clients of connections come, vanish and come back at two nodes over one Redis, and nothing may be left of them.
//!
//! Each client receives by any transport, and checks that every acknowledged message arrives once and in order (`client`, `ends`).
//! After each load the clients leave, and what they have taken is measured once their times have passed (`leftovers`, `report`).

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

mod client;
mod ends;
mod http;
mod leftovers;
mod library;
mod node;
mod plan;
mod report;
mod sender;
mod stream;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use client::{Client, subject};
use leftovers::Keys;
pub use library::serve_node;
use node::Node;
use plan::Times;
pub use plan::{NodeKind, Plan};
pub use report::Report;
use report::{Level, grown};
use tokio::task::JoinSet;
use world::{World, count};

use crate::dice::Dice;
use crate::http_client::Client as Caller;
use crate::servers::RedisServer;

/// The default seed.
pub const SEED: u64 = 20_261_130;

/// The parts of a load after which a level is read.
const LEVELS: u32 = 5;
/// The pause between two readings of a level.
const PAUSE: Duration = Duration::from_millis(100);
/// The time in which descriptors and memory that are no longer in use are given back.
const SETTLING: Duration = Duration::from_secs(1);

/// The nodes and their Redis.
struct Bench {
    plan: Plan,
    times: Times,
    redis: RedisServer,
    nodes: [Node; 2],
    world: Arc<World>,
}

/// Runs loads, and compares what is left after each with what was left after the first.
///
/// # Panics
/// If a server or a node cannot be started.
pub fn run(plan: &Plan) -> Report {
    let directory = tempfile::tempdir().expect("a directory");
    let redis = RedisServer::start(&[]);
    let start = || Node::start(plan.nodes, directory.path(), &redis.url());
    let nodes = [start(), start()];
    let addresses = [nodes[0].address.clone(), nodes[1].address.clone()];
    let mut bench = Bench {
        plan: plan.clone(),
        times: plan.times(),
        world: Arc::new(World::new(addresses, nodes[0].key(), plan)),
        redis,
        nodes,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut levels = vec![bench.level("at the start", false)];
    let mut warm: Option<(Level, [u64; 2])> = None;
    for round in 0..=plan.rounds {
        let (name, length) = match round {
            0 => ("the warm-up".to_owned(), plan.warm_up),
            round => (format!("load {round}"), plan.length),
        };
        levels.extend(runtime.block_on(bench.load(round, length)));
        levels.push(bench.level(&format!("end of {name}"), false));
        // A node that stops no longer removes what clients have left at it just before.
        let registry = warm
            .as_ref()
            .map_or(2 * plan.clients as u64, |(warm, _)| warm.keys.registry);
        bench.wait_until_left(&name, registry);
        if warm.is_none() {
            // The nodes remove what they still know of.
            std::thread::sleep(Duration::from_secs(1) + bench.times.beat * 2);
        }
        let level = bench.settled(&format!("after {name}"));
        let tally = &bench.world.tally;
        let counts = [&tally.sessions, &tally.visits].map(|count| count.load(Ordering::Relaxed));
        warm.get_or_insert((level.clone(), counts));
        levels.push(level);
    }
    let tally = &bench.world.tally;
    let (mut wrong, counts) = (tally.wrongs(), tally.line());
    let visits = tally.visits.load(Ordering::Relaxed);
    let mut growth = [0; 3];
    if let (Some((warm, [sessions, visits_before])), Some(end)) = (warm, levels.last()) {
        let sessions = tally.sessions.load(Ordering::Relaxed) - sessions;
        wrong.extend(grown(&warm, end, plan, sessions));
        let bytes = |level: &Level, node: usize| level.nodes[node].resident.cast_signed();
        growth = [
            bytes(end, 0) - bytes(&warm, 0),
            bytes(end, 1) - bytes(&warm, 1),
            (visits - visits_before).cast_signed(),
        ];
    }
    Report {
        seed: plan.seed,
        clients: plan.clients,
        load: plan.warm_up + plan.length * plan.rounds,
        counts,
        growth,
        levels,
        wrong,
    }
}

impl Bench {
    /// Loads the nodes for this time. During the warm-up, the second node restarts now and then. Afterwards, the levels of a
    /// service at these moments are returned.
    async fn load(&mut self, round: u32, length: Duration) -> Vec<Level> {
        self.world.is_over.store(false, Ordering::SeqCst);
        let dice = |number: usize| Dice::new(self.plan.seed, u64::from(round) * 10_000 + number as u64);
        let mut tasks = JoinSet::new();
        for number in 0..self.plan.clients {
            tasks.spawn(Client::new(Arc::clone(&self.world), number, dice(number)).live());
        }
        for number in 0..self.plan.senders {
            tasks.spawn(sender::send(Arc::clone(&self.world), dice(5_000 + number)));
        }
        let (began, mut levels) = (Instant::now(), Vec::new());
        let interval = if round == 0 {
            self.plan.restarts
        } else {
            length / LEVELS
        };
        while began.elapsed() < length {
            let left = length - began.elapsed();
            tokio::time::sleep(left.min(interval)).await;
            if began.elapsed() >= length {
                break;
            }
            if round == 0 {
                if began.elapsed() <= self.plan.restarting {
                    self.restart().await;
                }
            } else if self.plan.nodes == NodeKind::Service {
                let when = format!("after {} s of load {round}", began.elapsed().as_secs());
                levels.push(tokio::task::block_in_place(|| self.level(&when, false)));
            }
        }
        self.world.is_over.store(true, Ordering::SeqCst);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                self.world.tally.wrong(format!("a client: {error}"));
            }
        }
        levels
    }

    async fn restart(&mut self) {
        let node = &mut self.nodes[1];
        // This thread serves no client.
        if let Err(wrong) = tokio::task::block_in_place(|| node.restart(&self.times)) {
            self.world.tally.wrong(wrong);
        }
        count(&self.world.tally.restarts);
    }

    /// Waits until nothing is left of the clients but their sessions, and these keys of the registry. Ends the sessions.
    fn wait_until_left(&self, after: &str, registry: u64) {
        let (began, most) = (Instant::now(), self.times.left());
        while let Some(left) = self.keys().left(registry) {
            if began.elapsed() > most {
                self.world
                    .tally
                    .wrong(format!("{most:?} after {after}, there are {left}"));
                break;
            }
            std::thread::sleep(PAUSE);
        }
        let mut caller = Caller::new(&self.nodes[0].address);
        for number in 0..self.plan.clients {
            let path = format!("/v1/subjects/{}/sessions", subject(number));
            loop {
                let answer = caller.call("DELETE", &path, &self.world.key, None);
                if answer.status != 200 {
                    self.world.tally.wrong(format!("a revocation: {answer:?}"));
                }
                if answer.status != 200 || answer.json()["next"].is_null() {
                    break;
                }
            }
        }
        let is_service = self.plan.nodes == NodeKind::Service;
        let began = Instant::now();
        // Redis removes a mailbox a minute after it has passed.
        while is_service && self.keys().passed > 0 && began.elapsed() < Duration::from_secs(70) {
            std::thread::sleep(PAUSE);
        }
    }

    fn keys(&self) -> Keys {
        Keys::of(&self.redis, false)
    }

    fn level(&self, when: &str, removes: bool) -> Level {
        Level {
            when: when.to_owned(),
            nodes: [self.nodes[0].gauge(), self.nodes[1].gauge()],
            keys: Keys::of(&self.redis, removes),
        }
    }

    /// The lowest level of some readings. A test does not wait for the minute after which Redis removes a mailbox.
    fn settled(&self, when: &str) -> Level {
        let began = Instant::now();
        let mut least = self.level(when, self.plan.nodes != NodeKind::Service);
        while began.elapsed() < SETTLING {
            std::thread::sleep(PAUSE);
            let now = self.level(when, false);
            for (least, now) in least.nodes.iter_mut().zip(now.nodes) {
                least.resident = least.resident.min(now.resident);
                least.descriptors = least.descriptors.min(now.descriptors);
                least.threads = least.threads.min(now.threads);
            }
            least.keys = Keys {
                memory: least.keys.memory.min(now.keys.memory),
                ..now.keys
            };
        }
        least
    }
}
