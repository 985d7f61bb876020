//! Whether the time that a refusal takes tells what the right token is. `cargo xtask timing`
//!
//! The method is dudect's: Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017. Two classes of input are
//! measured in random order, and Welch's t-test says whether their times come from different distributions.
//! A large |t| proves a leak; a small one proves only that so many samples do not show it. The controls say how fine that is.

mod experiments;
mod inputs;
mod measure;
mod statistics;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use experiments::Failure;
use measure::{Row, Verdict};

/// Above it dudect calls a function leaky for sure.
const SURE: f64 = 10.0;
/// Above it, suspicious.
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
            Verdict::MustLeak => "was not seen: the machine was too noisy, and the table says nothing",
            _ => "leaks though its classes are the same: the measurement itself is wrong",
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
        writeln!(out, "no leak seen: every |t| of a secret is below {SUSPICIOUS}")?;
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
        "Welch's t, the greatest of all samples and of {} crops (dudect); above {SUSPICIOUS} suspicious, above {SURE} a leak\n",
        statistics::CROPS
    )?;
    writeln!(
        out,
        "| what is timed | classes | samples | means, ns | difference, ns | t of all | max abs t | |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let ([a, b], test) = (row.classes, &row.test);
        let expected = match row.verdict {
            Verdict::Secret => "secret",
            Verdict::MustLeak => "control: must leak",
            Verdict::MustNot => "control: must not",
            Verdict::Told => "told on purpose",
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
