//! What is run: clients with short programs over one session and an owner's cap, and what may go wrong.

use super::calls::Rules;

/// One thing that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Opens with the newest token it holds.
    Open,
    /// Sets a field and saves.
    Save(&'static str),
    /// Renews the token.
    Rotate,
    /// Confirms a renewed token.
    Touch,
    /// Logs a subject in on the open session.
    Login(&'static str),
    /// Makes a session and logs a subject in.
    Enter(&'static str),
    /// Logs out.
    Destroy,
    /// Ends the session that it starts with, as this subject's.
    Revoke(&'static str),
    /// Ends all sessions of a subject.
    RevokeAll(&'static str),
}

/// What can go wrong at one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The store cannot be reached; nothing is done.
    Unavailable,
    /// It is done, and the answer is lost.
    Lost,
    /// A `get` is told what was there before the last write.
    StaleRead,
    /// The guest traps on the answer, and nothing was done.
    Trap,
    /// It is done, and the guest traps on the answer.
    TrapAfter,
    /// The caller goes away: a call that has asked for a write is run to its end, any other is dropped where it waits.
    CallerGone,
    /// The process goes away before the question is heard.
    ProcessGone,
    /// The process goes away after it was heard.
    ProcessGoneAfter,
}

/// What can go wrong between two questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// All clocks jump by so many milliseconds.
    ClockJumps(i64),
    /// The store is as it was so many writes ago: a replica took over.
    ///
    /// Every step takes a millisecond then: of two generations raised in the same one, before a failover and after it, nothing
    /// but chance could tell one from the other. And it takes as long as clocks differ.
    RolledBack(usize),
}

/// Clients, their programs, and what may go wrong.
#[derive(Clone, Debug)]
pub struct Plan {
    /// To tell plans apart.
    pub name: String,
    /// One program for each client.
    pub programs: Vec<Vec<Act>>,
    /// How each client's clock differs, in milliseconds.
    pub clocks: Vec<i64>,
    /// What may go wrong at a question.
    pub faults: Vec<Fault>,
    /// What may go wrong between questions.
    pub events: Vec<Event>,
    /// Every step takes a millisecond, so that no two logins are of one.
    pub ticks: bool,
    /// How much may go wrong in one run.
    pub most_faults: usize,
    /// All clients share one instance of the component.
    pub shared: bool,
    /// The policy.
    pub rules: Rules,
    /// How often a client repeats a call that was not available.
    pub repeats: usize,
    /// The last client works against the others: the run ends with them, however far it has come.
    pub has_adversary: bool,
}

impl Plan {
    /// Programs with nothing going wrong, each client on its own instance.
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

    /// With so many faults of these kinds.
    pub fn failing(mut self, most: usize, faults: &[Fault]) -> Self {
        (self.most_faults, self.faults) = (most, faults.to_vec());
        self
    }

    /// With these events, counted as faults.
    pub fn with_events(mut self, most: usize, events: &[Event]) -> Self {
        (self.most_faults, self.events) = (most, events.to_vec());
        self
    }

    /// Against a client that holds the same token and does this for as long as the others run.
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

    /// How far the clocks of two clients differ at most, in milliseconds.
    pub fn clock_spread(&self) -> i64 {
        let (first, last) = (self.clocks.iter().min(), self.clocks.iter().max());
        first.zip(last).map_or(0, |(first, last)| last - first)
    }

    /// Whether what was acknowledged may be undone.
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

/// Everything that a request does to a session.
pub const EVERYTHING: &[&[Act]] = &[
    &[Act::Open, Act::Save("a")],
    &[Act::Open, Act::Save("b")],
    &[Act::Open, Act::Rotate],
    &[Act::Open, Act::Destroy],
    &[Act::Open, Act::Login("bob")],
    &[Act::Enter("alice")],
    &[Act::RevokeAll("alice")],
];

/// What brings a token from one generation to the next, and what comes in between.
pub const RENEWALS: &[&[Act]] = &[
    &[Act::Open, Act::Rotate, Act::Open, Act::Touch],
    &[Act::Open, Act::Rotate, Act::Open, Act::Rotate],
    &[Act::Open, Act::Save("a"), Act::Open],
    &[Act::Open, Act::Login("bob"), Act::Open],
    &[Act::Open, Act::Destroy],
];

/// What counts against an owner's cap.
pub const LOGINS: &[&[Act]] = &[
    &[Act::Enter("alice"), Act::Open],
    &[Act::Enter("bob")],
    &[Act::Open, Act::Login("bob")],
    &[Act::Open, Act::Login("alice")],
    &[Act::Open, Act::Destroy],
    &[Act::RevokeAll("alice")],
];

/// What ends a session or gives it to another, and what a flood of saves and renewals must not delay.
pub const ENDS: &[&[Act]] = &[
    &[Act::Open, Act::Destroy],
    &[Act::Open, Act::Login("alice"), Act::Destroy],
    &[Act::Open, Act::Login("bob")],
    &[Act::Open, Act::Rotate, Act::Open, Act::Touch],
    &[Act::Enter("alice")],
    &[Act::Revoke("alice")],
    &[Act::RevokeAll("alice")],
];

/// Ends of a session, and the logins that they may meet.
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

/// Saves without end: more often than any end or login tries.
pub const SAVES: &[Act] = &{
    let mut acts = [Act::Save("b"); 7];
    acts[0] = Act::Open;
    acts
};

/// Renews and saves without end, as fast as the grace allows.
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

/// Every way to give each of so many clients one of these programs, order aside.
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
