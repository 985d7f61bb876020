//! Plans: clients with short programs on one session and a subject's cap, with the possible faults.

use super::calls::Rules;

/// One action of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Opens the session with the newest token.
    Open,
    /// Sets a field and saves.
    Save(&'static str),
    /// Renews the token.
    Rotate,
    /// Confirms a renewed token.
    Touch,
    /// Logs a subject in, on the open session.
    Login(&'static str),
    /// Creates a session and logs a subject in.
    Enter(&'static str),
    /// Logs out.
    Destroy,
    /// Revokes the session with which the client starts, as one of this subject.
    Revoke(&'static str),
    /// Ends all sessions of a subject.
    RevokeAll(&'static str),
}

/// A fault of one store operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The store is unavailable, and the operation has no effect.
    Unavailable,
    /// The operation takes effect, and the reply is lost.
    Lost,
    /// A `get` returns the contents before the last write.
    StaleRead,
    /// The operation has no effect, and the guest traps on the reply.
    Trap,
    /// The operation takes effect, and the guest traps on the reply.
    TrapAfter,
    /// The caller goes away. A call that has sent a write runs to its end; any other is dropped.
    CallerGone,
    /// The process ends before the operation takes effect.
    ProcessGone,
    /// The process ends after the operation took effect.
    ProcessGoneAfter,
}

/// A fault between two store operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// All clocks jump by this number of milliseconds.
    ClockJumps(i64),
    /// A failover to a replica: the store loses this number of writes.
    ///
    /// In such plans every step takes a millisecond, because two generations that were raised in the same millisecond before
    /// and after a failover could not be distinguished. The failover itself takes as long as clocks differ.
    RolledBack(usize),
}

/// Clients, their programs, and the possible faults.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name, which lists the programs.
    pub name: String,
    /// One program for each client.
    pub programs: Vec<Vec<Act>>,
    /// The offset of each client's clock, in milliseconds.
    pub clocks: Vec<i64>,
    /// The possible faults of store operations.
    pub faults: Vec<Fault>,
    /// The possible faults between store operations.
    pub events: Vec<Event>,
    /// Whether every step takes a millisecond, so that no two logins have the same time.
    pub ticks: bool,
    /// The maximum number of faults and events in one run.
    pub most_faults: usize,
    /// Whether all clients share one host.
    pub shared: bool,
    /// The policy.
    pub rules: Rules,
    /// The maximum number of repetitions of a call that was unavailable.
    pub repeats: usize,
    /// Whether the last client is an adversary. The run ends when the others have ended.
    pub has_adversary: bool,
}

impl Plan {
    /// Creates a plan without faults, with a host for each client.
    pub fn new(programs: Vec<Vec<Act>>) -> Self {
        let name = programs
            .iter()
            .map(|program| name(program))
            .collect::<Vec<_>>()
            .join(" | ");
        Self {
            name,
            clocks: vec![0; programs.len()],
            programs,
            faults: Vec::new(),
            events: Vec::new(),
            ticks: false,
            most_faults: 0,
            shared: false,
            rules: Rules {
                grace: 10_000,
                cap: Some(1),
                evicts: true,
                reuse_ends: false,
            },
            repeats: 1,
            has_adversary: false,
        }
    }

    /// Allows this number of faults of these kinds.
    pub fn failing(mut self, most: usize, faults: &[Fault]) -> Self {
        (self.most_faults, self.faults) = (most, faults.to_vec());
        self
    }

    /// Allows these events, which count as faults; `most` is the maximum number of both.
    pub fn with_events(mut self, most: usize, events: &[Event]) -> Self {
        (self.most_faults, self.events) = (most, events.to_vec());
        self
    }

    /// Adds an adversary that has the same token and runs this program for as long as the others run.
    pub fn against(mut self, adversary: &[Act]) -> Self {
        self.programs.push(adversary.to_vec());
        self.clocks.push(0);
        self.name = format!("{} against {}", self.name, name(adversary));
        self.has_adversary = true;
        self
    }

    /// Whether reads may be stale.
    pub fn is_stale(&self) -> bool {
        self.faults.contains(&Fault::StaleRead)
    }

    /// The maximum difference between two clients' clocks, in milliseconds.
    pub fn clock_spread(&self) -> i64 {
        let (first, last) = (self.clocks.iter().min(), self.clocks.iter().max());
        first.zip(last).map_or(0, |(first, last)| last - first)
    }

    /// Whether acknowledged writes may be undone.
    pub fn rolls_back(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, Event::RolledBack(_)))
    }
}

fn name(program: &[Act]) -> String {
    program
        .iter()
        .map(|act| format!("{act:?}").to_lowercase().replace(['"', '(', ')'], ""))
        .collect::<Vec<_>>()
        .join(",")
}

/// All operations of requests on a session.
pub const EVERYTHING: &[&[Act]] = &[
    &[Act::Open, Act::Save("a")],
    &[Act::Open, Act::Save("b")],
    &[Act::Open, Act::Rotate],
    &[Act::Open, Act::Destroy],
    &[Act::Open, Act::Login("bob")],
    &[Act::Enter("alice")],
    &[Act::RevokeAll("alice")],
];

/// Renewals of a token, and calls that may interfere with them.
pub const RENEWALS: &[&[Act]] = &[
    &[Act::Open, Act::Rotate, Act::Open, Act::Touch],
    &[Act::Open, Act::Rotate, Act::Open, Act::Rotate],
    &[Act::Open, Act::Save("a"), Act::Open],
    &[Act::Open, Act::Login("bob"), Act::Open],
    &[Act::Open, Act::Destroy],
];

/// Calls that change the number of a subject's sessions.
pub const LOGINS: &[&[Act]] = &[
    &[Act::Enter("alice"), Act::Open],
    &[Act::Enter("bob")],
    &[Act::Open, Act::Login("bob")],
    &[Act::Open, Act::Login("alice")],
    &[Act::Open, Act::Destroy],
    &[Act::RevokeAll("alice")],
];

/// Calls that end a session, log in or confirm a token, which a flood of saves and renewals must not delay.
pub const ENDS: &[&[Act]] = &[
    &[Act::Open, Act::Destroy],
    &[Act::Open, Act::Login("alice"), Act::Destroy],
    &[Act::Open, Act::Login("bob")],
    &[Act::Open, Act::Rotate, Act::Open, Act::Touch],
    &[Act::Enter("alice")],
    &[Act::Revoke("alice")],
    &[Act::RevokeAll("alice")],
];

/// Revocations, and calls that may interfere with them.
pub const REVOCATIONS: &[&[Act]] = &[
    &[Act::Revoke("alice")],
    &[Act::Revoke("bob")],
    &[Act::RevokeAll("alice")],
    &[Act::RevokeAll("bob")],
    &[Act::Open, Act::Login("alice"), Act::Open],
    &[Act::Open, Act::Login("bob"), Act::Open],
    &[Act::Open, Act::Rotate, Act::Open, Act::Touch],
    &[Act::Open, Act::Save("a")],
];

/// A flood of saves: more than the tries of an end or a login.
pub const SAVES: &[Act] = &{
    let mut acts = [Act::Save("b"); 7];
    acts[0] = Act::Open;
    acts
};

/// A flood of renewals and saves, as frequent as the grace allows.
pub const SAVES_AND_RENEWS: &[Act] = &{
    let mut acts = [Act::Save("b"); 12];
    let round = [Act::Open, Act::Touch, Act::Save("b"), Act::Rotate];
    let mut place = 0;
    while place < acts.len() {
        acts[place] = round[place % round.len()];
        place += 1;
    }
    acts
};

/// Returns a plan for each combination of programs for this number of clients, without regard to order.
pub fn combinations(programs: &[&[Act]], clients: usize) -> Vec<Plan> {
    let mut all = vec![Vec::new()];
    for _ in 0..clients {
        all = all
            .into_iter()
            .flat_map(|chosen: Vec<usize>| {
                let from = chosen.last().copied().unwrap_or(0);
                (from..programs.len()).map(move |next| [chosen.clone(), vec![next]].concat())
            })
            .collect();
    }
    all.into_iter()
        .map(|chosen| Plan::new(chosen.into_iter().map(|which| programs[which].to_vec()).collect()))
        .collect()
}
