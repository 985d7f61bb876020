//! The size and the times of a run.

use std::time::Duration;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// `tessera serve`, with its own times.
    Service,
    /// The library with short times, in the running program, which is started again with these arguments and calls
    /// [`serve_node`](super::serve_node).
    Library(&'static [&'static str]),
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of all random numbers.
    pub seed: u64,
    /// What the nodes are.
    pub nodes: NodeKind,
    /// The number of clients.
    pub clients: usize,
    /// The number of senders.
    pub senders: usize,
    /// The length of the load after which the level is that of a warm process.
    pub warm_up: Duration,
    /// The number of loads after it.
    pub rounds: u32,
    /// The length of each of them.
    pub length: Duration,
    /// The interval of the restarts of the second node during the warm-up.
    pub restarts: Duration,
    /// The time from the start of the warm-up in which the node is restarted.
    pub restarting: Duration,
    /// Of 200 connections, so many end with their session, and so many are left for good.
    pub ends: [usize; 2],
    /// The memory that a node may take in all rounds after the warm-up, in bytes, and further bytes for each session: the opens
    /// that it remembers.
    pub growth: [u64; 2],
}

impl Plan {
    /// A run of less than half a minute.
    pub fn short(seed: u64, program: &'static [&'static str]) -> Self {
        Self {
            seed,
            nodes: NodeKind::Library(program),
            clients: 96,
            senders: 4,
            warm_up: Duration::from_secs(3),
            rounds: 2,
            length: Duration::from_secs(5),
            restarts: Duration::from_secs(2),
            restarting: Duration::from_secs(3),
            ends: [30, 35],
            growth: [4 << 20, 0],
        }
    }

    /// A run against the service, with a load of this length after a warm-up of the same length, whose peaks are therefore the
    /// same.
    pub fn long(seed: u64, length: Duration) -> Self {
        Self {
            seed,
            nodes: NodeKind::Service,
            clients: 150,
            senders: 8,
            warm_up: length,
            rounds: 1,
            length,
            restarts: Duration::from_secs(15),
            restarting: Duration::from_secs(40),
            ends: [3, 5],
            growth: [6 << 20, 2048],
        }
    }

    pub(super) fn times(&self) -> Times {
        match self.nodes {
            NodeKind::Service => Times {
                detached_for: Duration::from_secs(120),
                beat: Duration::from_secs(5),
                sign_of_life: Duration::from_secs(15),
                lifetime: Duration::from_secs(24 * 3600),
                poll: Duration::from_secs(2),
                stop: Duration::from_secs(12),
            },
            NodeKind::Library(_) => Times {
                detached_for: Duration::from_secs(2),
                beat: Duration::from_millis(250),
                sign_of_life: Duration::from_millis(500),
                lifetime: Duration::from_secs(4),
                poll: Duration::from_secs(1),
                stop: Duration::from_secs(5),
            },
        }
    }
}

/// The times of the nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The time for which a connection outlives its client.
    pub(super) detached_for: Duration,
    pub(super) beat: Duration,
    pub(super) sign_of_life: Duration,
    /// The longest life of a connection.
    pub(super) lifetime: Duration,
    /// The wait of a poll.
    pub(super) poll: Duration,
    /// The time in which a node stops.
    pub(super) stop: Duration,
}

impl Times {
    /// The longest time from the end of a session to the end of its connections, with some time for a busy machine.
    pub(super) fn end(&self) -> Duration {
        self.beat + Duration::from_secs(10)
    }

    /// The longest time until nothing is left of clients that have gone, with some time for a busy machine.
    pub(super) fn left(&self) -> Duration {
        self.detached_for + self.beat * 2 + Duration::from_secs(15)
    }
}
