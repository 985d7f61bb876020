//! The keys and the memory of Redis.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::servers::RedisServer;

const SCRIPT: &str = include_str!("leftovers.lua");
/// The time for which Redis keeps a mailbox that has passed, in milliseconds, and some for the clocks.
const GRACE: &str = "61000";

/// What Redis has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// Mailboxes that have not passed, apart from those by which nodes show that they live.
    pub(super) mailboxes: u64,
    /// Those of them with a client.
    pub(super) attached: u64,
    /// Mailboxes that have passed, and that Redis still keeps for a minute.
    pub(super) passed: u64,
    /// Those that Redis keeps longer.
    pub(super) immortal: u64,
    /// The mailboxes of nodes.
    pub(super) nodes: u64,
    /// Records and indexes of the registry.
    pub(super) registry: u64,
    /// Records and indexes of sessions.
    pub(super) sessions: u64,
    /// Keys of no known kind.
    pub(super) others: u64,
    /// The memory that Redis uses, in bytes.
    pub(super) memory: u64,
    /// The keys whose change Redis reports.
    pub(super) tracked: u64,
    /// The connections to Redis.
    pub(super) clients: u64,
}

impl Keys {
    /// Counts the keys. Mailboxes that have passed are removed if that is asked, as Redis does within a minute.
    pub(super) fn of(redis: &RedisServer, removes: bool) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let now = now.as_millis().to_string();
        let mode = if removes { "remove" } else { "keep" };
        let counts: Vec<u64> = redis
            .ask(&["EVAL", SCRIPT, "0", "tessera:", &now, GRACE, mode])
            .expect("counts of keys");
        let [
            mailboxes,
            attached,
            passed,
            immortal,
            nodes,
            registry,
            sessions,
            others,
        ] = counts.try_into().expect("eight counts");
        Self {
            mailboxes,
            attached,
            passed,
            immortal,
            nodes,
            registry,
            sessions,
            others,
            memory: number(redis, "memory", "used_memory:"),
            tracked: number(redis, "stats", "tracking_total_keys:"),
            clients: number(redis, "clients", "connected_clients:"),
        }
    }

    /// What is left of the clients; `None` if nothing is but this number of keys of the registry.
    pub(super) fn left(&self, allowed: u64) -> Option<String> {
        let Self {
            mailboxes,
            attached,
            immortal,
            registry,
            others,
            ..
        } = self;
        let is_left = mailboxes + immortal + others > 0 || *registry > allowed;
        is_left.then(|| {
            format!(
                "{mailboxes} mailboxes, {attached} of them with a client, {immortal} that Redis keeps, \
                 {registry} keys of the registry, {others} unknown keys"
            )
        })
    }
}

/// A number of `INFO`.
fn number(redis: &RedisServer, section: &str, name: &str) -> u64 {
    let info: String = redis.ask(&["INFO", section]).expect("the state of Redis");
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.trim().parse().ok())
        .expect("a number")
}
