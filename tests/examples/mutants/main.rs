//! Puts deliberate faults into copies of the engine, and has each found out. `cargo xtask mutants [every Nth] [name…]`
//!
//! The faults are data, `tests/mutants/mutants.json`: a file, a text that stands in it once, and what to put there.

mod build;
mod judge;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use serde::Deserialize;
use tessera_tests::interleave::campaign::{explore_all, traps};

use build::Workshop;

/// One deliberate fault.
#[derive(Debug, Deserialize)]
pub(crate) struct Mutant {
    /// What is wrong with it.
    pub(crate) name: String,
    /// Below the workspace.
    pub(crate) file: String,
    /// Stands there exactly once.
    pub(crate) find: String,
    /// What to put in its place.
    pub(crate) replace: String,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let every = arguments
        .first()
        .and_then(|first| first.parse::<usize>().ok())
        .unwrap_or(1)
        .max(1);
    let named: Vec<&String> = arguments
        .iter()
        .filter(|argument| argument.parse::<usize>().is_err())
        .collect();
    let workshop = Workshop::new()?;
    let mut all = workshop.mutants("mutants.json")?;
    let known = all.len();
    workshop.check(&all)?;
    all.retain(|mutant| named.is_empty() || named.iter().any(|name| mutant.name.contains(*name)));

    let mut out = std::io::stdout();
    let (mut survivors, mut tried) = (Vec::new(), 0);
    // The engine as it is must pass all that is asked of the mutants, or their failing would show nothing.
    if let Some(fault) = judge::find_fault(&workshop.component(None)?) {
        return Err(format!("the engine itself fails: {fault}").into());
    }
    for mutant in all.iter().step_by(every) {
        let began = Instant::now();
        let component = workshop.component(Some(mutant))?;
        tried += 1;
        let found = judge::find_fault(&component);
        let seconds = began.elapsed().as_secs_f32();
        match found {
            Some(by) => writeln!(out, "killed   {} ({seconds:.0} s): {by}", mutant.name)?,
            None => {
                writeln!(out, "SURVIVED {} ({seconds:.0} s)", mutant.name)?;
                survivors.push(&mutant.name);
            }
        }
    }
    writeln!(
        out,
        "{} of {tried} mutants killed, {known} known",
        tried - survivors.len()
    )?;

    let trapping = workshop.mutants("trapping.json")?;
    workshop.check(&trapping)?;
    let mut violations = 0;
    if let Some(trapping) = trapping.first().filter(|_| named.is_empty()) {
        let component = workshop.component(Some(trapping))?;
        for campaign in traps() {
            let (report, found) = explore_all(&campaign.plans, &component, campaign.how);
            writeln!(
                out,
                "{}: {} plans, {} violations: {report}",
                campaign.name,
                campaign.plans.len(),
                found.len()
            )?;
            found
                .iter()
                .take(2)
                .try_for_each(|violation| writeln!(out, "{violation}"))?;
            violations += found.len();
        }
    }
    Ok(if survivors.is_empty() && violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
