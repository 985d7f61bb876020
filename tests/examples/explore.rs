//! Explores every order of several clients' store operations. `cargo xtask explore [NAME[@FIRST[..END]]…]`
//!
//! `faults-3-2@40..50` runs ten plans of a campaign that takes hours, so that it can be run in parts.

#![expect(clippy::print_stdout, reason = "a command for the terminal")]

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use tessera::Component;
use tessera_tests::interleave::campaign::{Campaign, campaigns, explore_each};
use tessera_tests::interleave::plan::Plan;
use tessera_tests::interleave::report::Report;

/// The maximum number of violations of a campaign that are printed.
const TOLD: usize = 3;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let named = std::env::args().skip(1).map(|name| part(&name));
    let named: Vec<(String, Range<usize>)> = named.collect::<Result<_, _>>()?;
    let component = Component::embedded()?;
    let known: Vec<String> = campaigns().into_iter().map(|campaign| campaign.name).collect();
    if let Some(unknown) = named.iter().find(|(name, _)| !known.contains(name)) {
        return Err(format!("unknown campaign {}; known are {}", unknown.0, known.join(", ")).into());
    }
    let mut found = 0;
    for Campaign {
        name,
        plans,
        how,
        long,
    } in campaigns()
    {
        let wanted = match named.iter().find(|(wanted, _)| *wanted == name) {
            Some((_, part)) => part.start.min(plans.len())..part.end.min(plans.len()),
            None if named.is_empty() && !long => 0..plans.len(),
            None => continue,
        };
        let began = Instant::now();
        let told = |plan: &Plan, report: &Report| {
            let at = plans.iter().position(|other| std::ptr::eq(other, plan));
            println!("{name}@{}: {}: {report}", at.unwrap_or_default(), plan.name);
        };
        let quiet = |_: &Plan, _: &Report| ();
        let each: &(dyn Fn(&Plan, &Report) + Sync) = if long { &told } else { &quiet };
        let (report, violations) = explore_each(&plans[wanted.clone()], &component, how, each);
        let (plans, seconds) = (wanted.len(), began.elapsed().as_secs_f32());
        println!(
            "{name}: {plans} plans, {} violations: {report}; {seconds:.1} s",
            violations.len()
        );
        violations
            .iter()
            .take(TOLD)
            .for_each(|violation| println!("{violation}"));
        found += violations.len();
    }
    Ok(if found == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Parses `NAME`, `NAME@5`, `NAME@5..9` or `NAME@5..` to the name and the range of plans.
fn part(named: &str) -> Result<(String, Range<usize>), String> {
    let Some((name, part)) = named.split_once('@') else {
        return Ok((named.to_owned(), 0..usize::MAX));
    };
    let number = |text: &str| {
        let wrong = |error| format!("{named}: {text:?} is not the number of a plan: {error}");
        text.parse::<usize>().map_err(wrong)
    };
    let range = match part.split_once("..") {
        None => number(part)?..number(part)?.saturating_add(1),
        Some((first, "")) => number(first)?..usize::MAX,
        Some((first, end)) => number(first)?..number(end)?,
    };
    match range.start < range.end {
        true => Ok((name.to_owned(), range)),
        false => Err(format!("{named}: the range {part} is empty")),
    }
}
