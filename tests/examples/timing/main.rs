//! Tests whether the time of a refusal depends on the correct token. `cargo xtask timing`
//!
//! The method is that of dudect: Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017.
//! Two classes of input are measured in random order, and Welch's t-test compares the distributions of their times.
//! A large |t| proves a leak. A small one shows only that this number of samples does not reveal a leak.
//! The controls show the sensitivity of the measurement.

mod experiments;
mod inputs;
mod measure;
mod statistics;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use experiments::Failure;
use measure::{Row, Verdict};

/// The |t| above which dudect reports a leak.
const SURE: f64 = 10.0;
/// The |t| above which a function is suspicious.
const SUSPICIOUS: f64 = 4.5;

fn main() -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let mut rows = experiments::controls()?;
    rows.extend(experiments::macs()?);
    rows.extend(experiments::csrf_tokens()?);
    rows.extend(experiments::memo()?);

    let mut out = io::stdout().lock();
    print(&mut out, &rows)?;
    let samples: usize = rows
        .iter()
        .map(|row| row.test.samples.iter().sum::<usize>())
        .sum();
    writeln!(out, "\n{samples} samples, {:.0} s", began.elapsed().as_secs_f32())?;

    let failed: Vec<&Row> = rows.iter().filter(|row| !row.holds()).collect();
    for row in &failed {
        let why = match row.verdict {
            Verdict::MustLeak => "was not detected: the machine was too noisy, and the table is meaningless",
            _ => "leaks although its classes are the same: the measurement itself is wrong",
        };
        writeln!(out, "control failed: {:?} {why}", row.what)?;
    }
    let leaks: Vec<&Row> = rows
        .iter()
        .filter(|row| row.verdict == Verdict::Secret && row.test.greatest > SUSPICIOUS)
        .collect();
    for row in &leaks {
        let how = if row.test.greatest > SURE {
            "leaks"
        } else {
            "is suspicious"
        };
        writeln!(
            out,
            "{how}: {} ({} against {})",
            row.what, row.classes[0], row.classes[1]
        )?;
    }
    if failed.is_empty() && leaks.is_empty() {
        writeln!(out, "no leak found: every |t| of a secret is below {SUSPICIOUS}")?;
    }
    Ok(if failed.is_empty() && leaks.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(out: &mut impl io::Write, rows: &[Row]) -> io::Result<()> {
    writeln!(
        out,
        "Welch's t, the maximum over all samples and {} crops (dudect); above {SUSPICIOUS} suspicious, above {SURE} a leak\n",
        statistics::CROPS
    )?;
    writeln!(
        out,
        "| timed operation | classes | samples | means, ns | difference, ns | t of all | max abs t | |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let ([a, b], test) = (row.classes, &row.test);
        let expected = match row.verdict {
            Verdict::Secret => "secret",
            Verdict::MustLeak => "control: must leak",
            Verdict::MustNot => "control: must not",
            Verdict::Told => "intended",
        };
        writeln!(
            out,
            "| {} | {a} / {b} | {} / {} | {:.1} / {:.1} | {:+.2} | {:+.1} | {:.1} | {expected} |",
            row.what,
            test.samples[0],
            test.samples[1],
            test.means[0],
            test.means[1],
            test.means[0] - test.means[1],
            test.of_all,
            test.greatest,
        )?;
    }
    Ok(())
}
