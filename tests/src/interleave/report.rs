//! The statistics of explorations, and violations.

use std::fmt;

use tessera::ConfigurationError;

use super::judge::Judge;
use super::plan::Plan;
use super::player::Player;
use super::run::{Choice, Run};

/// The statistics of an exploration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// The number of runs that were taken to their end and judged.
    pub runs: u64,
    /// The number of runs that were abandoned at a known state.
    pub left: u64,
    /// The number of different states.
    pub states: u64,
    /// The number of steps.
    pub steps: u64,
    /// The number of faults and events.
    pub faults: u64,
    /// The number of judged calls.
    pub calls: u64,
    /// The number of tokens that were opened at the end.
    pub tokens: u64,
    /// The maximum number of store operations of one call.
    pub most_asked: usize,
}

impl Report {
    /// Adds another report.
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

    /// Takes a run to its end with these choices, judges and counts it.
    ///
    /// # Errors
    /// If the run is a violation.
    pub fn take<P: Player>(
        &mut self,
        judge: &Judge<'_>,
        plan: &Plan,
        run: &mut Run<'_, P>,
        mut choose: impl FnMut(&[Choice]) -> usize,
    ) -> Result<(), Box<Violation>> {
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
        self.steps += taken.len() as u64;
        let is_fault = |choice: &&Choice| !matches!(choice, Choice::Step(_));
        self.faults += taken.iter().filter(is_fault).count() as u64;
        self.judged(judge, plan, run, schedule, &taken)
    }

    /// Judges and counts a run that ended with these choices.
    ///
    /// # Errors
    /// If the run is a violation.
    pub fn judged<P: Player>(
        &mut self,
        judge: &Judge<'_>,
        plan: &Plan,
        run: &Run<'_, P>,
        schedule: Vec<usize>,
        taken: &[Choice],
    ) -> Result<(), Box<Violation>> {
        self.runs += 1;
        self.most_asked = self.most_asked.max(run.most_asked);
        let verdict = judge.verdict(run);
        let (calls, tokens) =
            verdict.map_err(|what| Box::new(Violation::of(plan, run, schedule, taken, what)))?;
        self.calls += calls;
        self.tokens += tokens;
        Ok(())
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
            "{runs} runs judged, {left} abandoned at a known state, {states} states, {steps} steps, {faults} faults, \
             {calls} calls and {tokens} tokens judged, at most {most_asked} store operations per call"
        )
    }
}

/// A violation, with the schedule that repeats its run.
#[derive(Debug)]
pub struct Violation {
    /// The plan's name.
    pub plan: String,
    /// The choices, each by its index among the possible ones.
    pub schedule: Vec<usize>,
    /// The description.
    pub what: String,
    /// The steps, calls and stored records of the run.
    pub trace: Vec<String>,
}

impl Violation {
    /// Creates a violation of a run with these choices.
    pub fn of<P: Player>(
        plan: &Plan,
        run: &Run<'_, P>,
        schedule: Vec<usize>,
        taken: &[Choice],
        what: String,
    ) -> Self {
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
        Self {
            plan: plan.name.clone(),
            schedule,
            what,
            trace,
        }
    }
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
