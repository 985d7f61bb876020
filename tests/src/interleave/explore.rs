//! All runs of a plan: depth first, each from the start, left where it comes to a state that was seen before.

use std::collections::HashSet;
use std::fmt;

use tessera::{Component, ConfigurationError};

use super::calls::World;
use super::contents::Contents;
use super::engines::Engines;
use super::judge::{Judge, record};
use super::plan::{Act, Plan};
use super::run::{Choice, Run, Start, alone};

/// What an exploration has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Runs taken to their end and judged.
    pub runs: u64,
    /// Runs left at a state that was seen before.
    pub left: u64,
    /// Different states.
    pub states: u64,
    /// Questions answered.
    pub steps: u64,
    /// Faults and events.
    pub faults: u64,
    /// Calls judged.
    pub calls: u64,
    /// Tokens shown at the end.
    pub tokens: u64,
    /// The most questions that one call asked.
    pub most_asked: usize,
}

impl Report {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.left += other.left;
        self.states += other.states;
        self.steps += other.steps;
        self.faults += other.faults;
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.most_asked = self.most_asked.max(other.most_asked);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            left,
            states,
            steps,
            faults,
            calls,
            tokens,
            most_asked,
        } = self;
        write!(
            f,
            "{runs} runs judged, {left} left at a known state, {states} states, {steps} steps, {faults} faults, \
             {calls} calls and {tokens} tokens judged, at most {most_asked} questions a call"
        )
    }
}

/// What is wrong with a run, and how to repeat it.
#[derive(Debug)]
pub struct Violation {
    /// The plan's name.
    pub plan: String,
    /// The choices, by their place among all that were open.
    pub schedule: Vec<usize>,
    /// What is wrong.
    pub what: String,
    /// What was done, step by step.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}\nschedule {:?}", self.plan, self.what, self.schedule)?;
        self.trace.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl From<ConfigurationError> for Box<Violation> {
    fn from(error: ConfigurationError) -> Self {
        let what = format!("the plan cannot be run: {error}");
        Self::new(Violation {
            plan: String::new(),
            schedule: Vec::new(),
            what,
            trace: Vec::new(),
        })
    }
}

/// One session of alice's with two fields, from which every run starts.
///
/// # Errors
/// If the component refuses the plan's policy.
pub fn start(plan: &Plan, component: &Component) -> Result<Start, ConfigurationError> {
    let calm = Plan {
        most_faults: 0,
        ..plan.clone()
    };
    let program = vec![Act::Enter("alice"), Act::Save("a"), Act::Save("b")];
    let (mut contents, mut tokens) = alone(&calm, component, Contents::default(), program)?;
    contents.before.clear();
    // The program's login handed one out.
    let token = tokens.pop().unwrap_or(super::clients::Granted {
        token: String::new(),
        subject: None,
    });
    Ok(Start { contents, token })
}

/// Takes all runs of a plan, or so many of them.
///
/// # Errors
/// The first run that is not as it should be.
pub fn explore(plan: &Plan, component: &Component, most_runs: u64) -> Result<Report, Box<Violation>> {
    explore_by(plan, plan, component, most_runs)
}

/// The same, judged by the rules of another plan: an engine that keeps others is found out.
///
/// # Errors
/// The first run that is not as it should be.
pub fn explore_by(
    plan: &Plan,
    judged_by: &Plan,
    component: &Component,
    most_runs: u64,
) -> Result<Report, Box<Violation>> {
    let start = start(plan, component)?;
    let first = worlds(&start.contents);
    let judge = Judge::new(judged_by, component, &start, first)?;
    let mut engines = Engines::new(plan, component)?;
    let (mut report, mut seen, mut path) = (Report::default(), HashSet::new(), Vec::<(usize, usize)>::new());
    loop {
        let mut run = Run::new(plan, &mut engines, &start);
        let mut schedule = Vec::with_capacity(path.len());
        let mut taken: Vec<Choice> = Vec::new();
        let ended = loop {
            let choices = run.choices();
            if choices.is_empty() {
                break true;
            }
            let depth = schedule.len();
            if depth == path.len() {
                // Clients that share an instance have more state than can be seen: its cache.
                if !plan.shared && !seen.insert(run.state()) {
                    break false;
                }
                path.push((0, choices.len()));
            }
            let place = path[depth].0;
            schedule.push(place);
            taken.push(choices[place]);
            report.steps += u64::from(depth + 1 == path.len());
            report.faults += u64::from(depth + 1 == path.len() && !matches!(choices[place], Choice::Step(_)));
            run.take(choices[place]);
        };
        report.most_asked = report.most_asked.max(run.most_asked);
        if ended {
            report.runs += 1;
            match judge.verdict(&run) {
                Ok((calls, tokens)) => {
                    report.calls += calls;
                    report.tokens += tokens;
                }
                Err(what) => return Err(Box::new(violation(plan, &run, schedule, &taken, what))),
            }
        } else {
            report.left += 1;
        }
        while path.last().is_some_and(|(place, all)| place + 1 >= *all) {
            path.pop();
        }
        match path.last_mut() {
            Some((place, _)) if report.runs < most_runs => *place += 1,
            _ => break,
        }
    }
    report.states = seen.len() as u64;
    Ok(report)
}

/// Takes one run of a plan by its schedule; where the schedule ends, the first choice is taken.
///
/// # Errors
/// If the run is not as it should be.
pub fn repeat(plan: &Plan, component: &Component, schedule: &[usize]) -> Result<Report, Box<Violation>> {
    let mut schedule = schedule.iter().copied();
    one_after_the_other(plan, component, 1, |_| schedule.next().unwrap_or(0))
}

/// Takes one run, each choice by one of these numbers.
///
/// # Errors
/// If it is not as it should be.
pub fn drawn(plan: &Plan, component: &Component, numbers: &[u16]) -> Result<Report, Box<Violation>> {
    let mut numbers = numbers.iter().copied().map(u64::from);
    one_after_the_other(plan, component, 1, |choices| {
        pick(numbers.next().unwrap_or(1), choices)
    })
}

/// One in sixteen is a fault or an event, where there may be one: drawn as often as steps, all would come at the start.
fn pick(number: u64, choices: &[Choice]) -> usize {
    let is_step = |choice: &&Choice| matches!(choice, Choice::Step(_));
    let steps = choices.iter().take_while(is_step).count().max(1);
    let others = choices.len() - steps;
    match (number / 16) as usize {
        number_left if number.is_multiple_of(16) && others > 0 => steps + number_left % others,
        number_left => number_left % steps,
    }
}

/// Takes so many runs, each choice at random.
///
/// # Errors
/// The first run that is not as it should be.
pub fn sample(plan: &Plan, component: &Component, runs: u64, seed: u64) -> Result<Report, Box<Violation>> {
    let mut state = seed;
    one_after_the_other(plan, component, runs, |choices| {
        pick(splitmix(&mut state), choices)
    })
}

/// Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, 2014.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn one_after_the_other(
    plan: &Plan,
    component: &Component,
    runs: u64,
    mut choose: impl FnMut(&[Choice]) -> usize,
) -> Result<Report, Box<Violation>> {
    let start = start(plan, component)?;
    let judge = Judge::new(plan, component, &start, worlds(&start.contents))?;
    let mut engines = Engines::new(plan, component)?;
    let mut report = Report::default();
    for _ in 0..runs {
        let mut run = Run::new(plan, &mut engines, &start);
        let (mut taken, mut schedule) = (Vec::new(), Vec::new());
        loop {
            let choices = run.choices();
            if choices.is_empty() {
                break;
            }
            let place = choose(&choices) % choices.len();
            schedule.push(place);
            taken.push(choices[place]);
            run.take(choices[place]);
        }
        report.runs += 1;
        report.steps += taken.len() as u64;
        report.faults += taken
            .iter()
            .filter(|choice| !matches!(choice, Choice::Step(_)))
            .count() as u64;
        report.most_asked = report.most_asked.max(run.most_asked);
        match judge.verdict(&run) {
            Ok((calls, tokens)) => {
                report.calls += calls;
                report.tokens += tokens;
            }
            Err(what) => return Err(Box::new(violation(plan, &run, schedule, &taken, what))),
        }
    }
    Ok(report)
}

fn violation(plan: &Plan, run: &Run<'_>, schedule: Vec<usize>, taken: &[Choice], what: String) -> Violation {
    let calls = run.calls();
    let mut trace: Vec<String> = taken
        .iter()
        .enumerate()
        .map(|(step, choice)| format!("{}: {choice:?}", step + 1))
        .collect();
    trace.extend(calls.iter().map(|call| format!("{call:?}")));
    trace.extend(
        run.contents()
            .records
            .iter()
            .map(|(key, stored)| format!("{key} = {}", stored.text)),
    );
    Violation {
        plan: plan.name.clone(),
        schedule,
        what,
        trace,
    }
}

/// What is stored, in the model's words.
pub fn worlds(contents: &Contents) -> World {
    contents
        .records
        .iter()
        .filter(|(_, stored)| stored.expires_at.as_millis() > 0)
        .filter_map(|(key, stored)| Some((key.clone(), record(&stored.text)?)))
        .collect()
}
