//! The levels of a run, and what they must return to.

use std::fmt;
use std::time::Duration;

use super::leftovers::Keys;
use super::plan::Plan;
use crate::servers::Gauge;

const MEBIBYTE: f64 = 1_048_576.0;
/// The allowed growth of descriptors and of threads: a connection to Redis that has not closed yet, and a thread that waits.
const DESCRIPTORS: usize = 4;
const THREADS: usize = 2;
/// The allowed growth of the connections to Redis.
const CLIENTS: u64 = 2;
/// The allowed growth of Redis's memory, in bytes: the buffers of its clients.
const REDIS: u64 = 1 << 20;

/// The resource usage at one moment.
#[derive(Clone, Debug)]
pub(super) struct Level {
    /// The moment.
    pub(super) when: String,
    pub(super) nodes: [Gauge; 2],
    pub(super) keys: Keys,
}

/// The results of a run.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) clients: usize,
    pub(super) load: Duration,
    /// The counts of all that has happened.
    pub(super) counts: String,
    /// What the memory of each node has grown by since the warm-up, in bytes, and the number of visits at both.
    pub(super) growth: [i64; 3],
    pub(super) levels: Vec<Level>,
    /// The violations. Empty if the run passed.
    pub wrong: Vec<String>,
}

/// Compares the level at the end with that after the warm-up; returns what has grown. `sessions` were opened in between.
pub(super) fn grown(warm: &Level, end: &Level, plan: &Plan, sessions: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut at_most = |what: &str, now: u64, most: u64| {
        if now > most {
            wrong.push(format!("{}: {now} {what}, more than {most}", end.when));
        }
    };
    let [growth, of_session] = plan.growth;
    for (now, before) in end.nodes.iter().zip(&warm.nodes) {
        let grown = before.resident + growth + of_session * sessions;
        at_most("bytes of a node", now.resident, grown);
        let most = |count: usize, slack: usize| (count + slack) as u64;
        at_most(
            "descriptors of a node",
            now.descriptors as u64,
            most(before.descriptors, DESCRIPTORS),
        );
        at_most(
            "threads of a node",
            now.threads as u64,
            most(before.threads, THREADS),
        );
    }
    let (now, before) = (&end.keys, &warm.keys);
    at_most("bytes of Redis", now.memory, before.memory + REDIS);
    at_most("connections to Redis", now.clients, before.clients + CLIENTS);
    // A session may end between the read of its record and the watch; measured are 2 % under this load.
    at_most("tracked keys", now.tracked, before.tracked + sessions / 20);
    at_most("mailboxes of nodes", now.nodes, 2);
    at_most("keys of sessions", now.sessions, 0);
    wrong
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, {} clients, {} s: {}; {} violations\n",
            self.seed,
            self.clients,
            self.load.as_secs(),
            self.counts,
            self.wrong.len(),
        )?;
        let [first, second, visits] = self.growth;
        writeln!(
            f,
            "since the warm-up, the memory of the nodes has grown by {first} and {second} bytes in {visits} visits\n"
        )?;
        writeln!(
            f,
            "| | MiB of the nodes | descriptors | threads | mailboxes (with a client, passed) | registry | sessions | tracked | MiB of Redis | its connections |\n\
             |---|---|---|---|---|---|---|---|---|---|"
        )?;
        for Level { when, nodes, keys } in &self.levels {
            let both = |of: fn(&Gauge) -> String| format!("{}, {}", of(&nodes[0]), of(&nodes[1]));
            writeln!(
                f,
                "| {when} | {} | {} | {} | {} ({}, {}) | {} | {} | {} | {:.2} | {} |",
                both(|gauge| format!("{:.1}", gauge.resident as f64 / MEBIBYTE)),
                both(|gauge| gauge.descriptors.to_string()),
                both(|gauge| gauge.threads.to_string()),
                keys.mailboxes,
                keys.attached,
                keys.passed,
                keys.registry,
                keys.sessions,
                keys.tracked,
                keys.memory as f64 / MEBIBYTE,
                keys.clients,
            )?;
        }
        Ok(())
    }
}
