//! Checks that the tests detect deliberate faults in copies of the engine. `cargo xtask mutants [N] [LIST.json] [NAME…]`
//!
//! `N` selects every Nth mutant.
//! The faults are data in `tests/mutants/mutants.json`: a file, a text that occurs in it once, and its replacement.

mod judge;
mod workshop;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use tessera_tests::interleave::campaign::{explore_all, traps};

use workshop::{Failure, Workshop};

fn first_line(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.lines()
        .find(|line| line.starts_with("error"))
        .unwrap_or_default()
        .to_owned()
}

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let every = arguments
        .first()
        .and_then(|first| first.parse::<usize>().ok())
        .unwrap_or(1)
        .max(1);
    let list = arguments.iter().find(|argument| argument.ends_with(".json"));
    let named: Vec<&String> = arguments
        .iter()
        .filter(|argument| argument.parse::<usize>().is_err() && Some(*argument) != list)
        .collect();
    let workshop = Workshop::new()?;
    let mut all = workshop.mutants(list.map_or("mutants.json", String::as_str))?;
    let known = all.len();
    workshop.check(&all)?;
    all.retain(|mutant| named.is_empty() || named.iter().any(|name| mutant.name.contains(*name)));

    let mut out = std::io::stdout();
    let (mut survivors, mut tried) = (Vec::new(), 0);
    // The unchanged engine must pass the tests; otherwise the failure of a mutant would show nothing.
    if let Some(fault) = judge::find_fault(&workshop.component(&[])?) {
        return Err(format!("the engine itself fails: {fault}").into());
    }
    for mutant in all.iter().step_by(every) {
        let began = Instant::now();
        let component = match workshop.component(&[mutant]) {
            Ok(component) => component,
            // Some mutants of a list that a tool has made do not compile.
            Err(error) if list.is_some() => {
                writeln!(out, "unviable {}: {}", mutant.name, first_line(&*error))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        tried += 1;
        let found = match judge::find_fault(&component) {
            None if workshop.fails_its_own_tests(mutant)? => Some("the engine's own tests".to_owned()),
            found => found,
        };
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
    if let Some(trapping) = trapping.first().filter(|_| named.is_empty() && list.is_none()) {
        let component = workshop.component(&[trapping])?;
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
