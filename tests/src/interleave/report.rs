//! What explorations have seen, and what they found wrong.

use std::fmt;

use tessera::ConfigurationError;

use super::judge::Judge;
use super::plan::Plan;
use super::player::Player;
use super::run::{Choice, Run};

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

    /// Counts a run that came to its end by these choices.
    ///
    /// # Errors
    /// If it is not as it should be.
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

impl Violation {
    /// Of a run that came by these choices.
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
