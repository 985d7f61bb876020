//! Explores all runs of a plan, depth first. A run is abandoned when it reaches a known state.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use tessera::{Component, ConfigurationError};

use super::contents::Contents;
use super::engines::Engines;
use super::judge::{Judge, worlds};
use super::plan::{Act, Plan};
use super::player::Player;
use super::recall::Memory;
use super::report::{Report, Violation};
use super::run::{Choice, Run, Start, alone};

/// Creates the start of every run: one session of alice with two fields.
///
/// # Errors
/// If the component refuses the plan's policy.
pub fn start(plan: &Plan, component: &Component) -> Result<Start, ConfigurationError> {
    let calm = Plan {
        most_faults: 0,
        has_adversary: false,
        ..plan.clone()
    };
    let program = vec![Act::Enter("alice"), Act::Save("a"), Act::Save("b")];
    let (mut contents, mut tokens) = alone(&calm, component, Contents::default(), program)?;
    contents.before.clear();
    // The program's login issued one.
    let token = tokens.pop().unwrap_or(super::clients::Granted {
        token: String::new(),
        subject: None,
    });
    Ok(Start { contents, token })
}

/// Takes all runs of a plan, up to `most_runs`.
///
/// # Errors
/// The first violation.
pub fn explore(plan: &Plan, component: &Component, most_runs: u64) -> Result<Report, Box<Violation>> {
    explore_by(plan, plan, component, most_runs)
}

/// The same, judged by the rules of another plan. Tests use it to check that a wrong engine is detected.
///
/// # Errors
/// The first violation.
pub fn explore_by(
    plan: &Plan,
    judged_by: &Plan,
    component: &Component,
    most_runs: u64,
) -> Result<Report, Box<Violation>> {
    let start = start(plan, component)?;
    let first = worlds(&start.contents);
    let judge = Judge::new(judged_by, component, &start, first)?;
    // The state of a client that shares its host depends on more than its replies, so every run is taken on the host.
    match plan.shared {
        true => each_order(plan, &judge, Engines::new(plan, component)?, &start, most_runs),
        false => each_state(
            plan,
            &judge,
            Memory::new(plan, component, &start)?,
            &start,
            most_runs,
        ),
    }
}

/// Takes every choice in every new state.
fn each_state(
    plan: &Plan,
    judge: &Judge<'_>,
    memory: Memory<'_>,
    start: &Start,
    most_runs: u64,
) -> Result<Report, Box<Violation>> {
    struct Fork<R> {
        run: R,
        choices: Vec<Choice>,
        next: usize,
    }
    let memory = Rc::new(RefCell::new(memory));
    let run = Run::recalled(plan, &memory, start);
    let (mut report, mut seen) = (Report::default(), HashSet::from([run.state()]));
    let mut judged = HashMap::new();
    let choices = run.choices();
    let mut forks = vec![Fork {
        run,
        choices,
        next: 0,
    }];
    while let Some(fork) = forks.last_mut() {
        let Some(choice) = fork.choices.get(fork.next).copied() else {
            forks.pop();
            continue;
        };
        fork.next += 1;
        let mut run = fork.run.clone();
        run.take(choice);
        report.steps += 1;
        report.faults += u64::from(!matches!(choice, Choice::Step(_)));
        report.most_asked = report.most_asked.max(run.most_asked);
        let choices = run.choices();
        let is_new = !choices.is_empty() && seen.insert(run.state());
        let verdict = match (&memory.borrow().differs, choices.is_empty()) {
            (Some(differs), _) => Err(differs.clone()),
            (None, true) => match judged.entry(run.end()) {
                Entry::Occupied(known) => Ok(*known.get()),
                Entry::Vacant(new) => judge.verdict(&run).map(|found| *new.insert(found)),
            },
            (None, false) => Ok((0, 0)),
        };
        match verdict {
            Ok((calls, tokens)) => {
                report.calls += calls;
                report.tokens += tokens;
            }
            Err(what) => {
                let schedule = forks.iter().map(|fork| fork.next - 1).collect();
                let taken: Vec<Choice> = forks.iter().map(|fork| fork.choices[fork.next - 1]).collect();
                return Err(Box::new(Violation::of(plan, &run, schedule, &taken, what)));
            }
        }
        match (choices.is_empty(), is_new) {
            (true, _) => report.runs += 1,
            (false, true) => forks.push(Fork {
                run,
                choices,
                next: 0,
            }),
            (false, false) => report.left += 1,
        }
        if report.runs >= most_runs {
            break;
        }
    }
    report.states = seen.len() as u64;
    Ok(report)
}

/// Takes every choice in every new state. Each run starts from the beginning, on the engines themselves.
fn each_order(
    plan: &Plan,
    judge: &Judge<'_>,
    mut engines: Engines,
    start: &Start,
    most_runs: u64,
) -> Result<Report, Box<Violation>> {
    let (mut report, mut path) = (Report::default(), Vec::<(usize, usize)>::new());
    let mut seen = HashSet::new();
    loop {
        let mut run = Run::live(plan, &mut engines, start);
        let mut schedule = Vec::with_capacity(path.len());
        let mut taken: Vec<Choice> = Vec::new();
        let is_known = loop {
            let choices = run.choices();
            if choices.is_empty() {
                break false;
            }
            let depth = schedule.len();
            if depth == path.len() {
                path.push((0, choices.len()));
            }
            let place = path[depth].0;
            schedule.push(place);
            taken.push(choices[place]);
            let is_new = depth + 1 == path.len();
            report.steps += u64::from(is_new);
            report.faults += u64::from(is_new && !matches!(choices[place], Choice::Step(_)));
            run.take(choices[place]);
            if is_new && !run.choices().is_empty() && !seen.insert(run.state()) {
                break true;
            }
        };
        if is_known {
            report.left += 1;
        } else {
            report.judged(judge, plan, &run, schedule, &taken)?;
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

/// Takes one run of a plan by its schedule. After the end of the schedule, the first choice is taken.
///
/// # Errors
/// If the run is a violation.
pub fn repeat(plan: &Plan, component: &Component, schedule: &[usize]) -> Result<Report, Box<Violation>> {
    let mut schedule = schedule.iter().copied();
    one_after_the_other(plan, component, 1, |_| schedule.next().unwrap_or(0))
}

/// Takes one run, with each choice by one of these numbers.
///
/// # Errors
/// If the run is a violation.
pub fn drawn(plan: &Plan, component: &Component, numbers: &[u16]) -> Result<Report, Box<Violation>> {
    let mut numbers = numbers.iter().copied().map(u64::from);
    one_after_the_other(plan, component, 1, |choices| {
        pick(numbers.next().unwrap_or(1), choices)
    })
}

/// Takes one run with clients that stand at the plan's start, with each choice by one of these numbers.
///
/// # Errors
/// If the run is a violation.
pub fn drawn_with<P: Player>(
    plan: &Plan,
    component: &Component,
    players: impl FnOnce(&Start) -> Vec<P>,
    mut numbers: impl FnMut() -> u64,
) -> Result<Report, Box<Violation>> {
    let start = start(plan, component)?;
    let judge = Judge::new(plan, component, &start, worlds(&start.contents))?;
    let mut report = Report::default();
    let mut run = Run::of(plan, &start, players(&start));
    report.take(&judge, plan, &mut run, |choices| pick(numbers(), choices))?;
    Ok(report)
}

/// Picks a choice by a random number. One in sixteen is a fault or an event, if there may be one: with the probability of
/// steps, all of them would come at the start.
pub fn pick(number: u64, choices: &[Choice]) -> usize {
    let is_step = |choice: &&Choice| matches!(choice, Choice::Step(_));
    let steps = choices.iter().take_while(is_step).count().max(1);
    let others = choices.len() - steps;
    match (number / 16) as usize {
        number_left if number.is_multiple_of(16) && others > 0 => steps + number_left % others,
        number_left => number_left % steps,
    }
}

/// Takes this number of runs, with each choice at random.
///
/// # Errors
/// The first violation.
pub fn sample(plan: &Plan, component: &Component, runs: u64, seed: u64) -> Result<Report, Box<Violation>> {
    let mut state = seed;
    one_after_the_other(plan, component, runs, |choices| {
        pick(splitmix(&mut state), choices)
    })
}

/// Returns the next of a sequence of random numbers.
///
/// Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, 2014.
pub fn splitmix(state: &mut u64) -> u64 {
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
        let mut run = Run::live(plan, &mut engines, &start);
        report.take(&judge, plan, &mut run, &mut choose)?;
    }
    Ok(report)
}
