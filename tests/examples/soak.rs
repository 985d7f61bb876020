//! Connections under load for any time, and what is left of them: `cargo xtask soak-connections [SECONDS]`

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use tessera_tests::soak::{Plan, SEED, run};

/// The length of each of the two loads.
const SECONDS: u64 = 150;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let seconds = match std::env::args().nth(1) {
        None => SECONDS,
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text} is not a number of seconds"))?,
    };
    let seed = std::env::var("TESSERA_SEED").map_or(Ok(SEED), |text| text.parse())?;
    let report = run(&Plan::long(seed, Duration::from_secs(seconds)));
    let mut out = io::stdout().lock();
    write!(out, "{report}")?;
    for wrong in &report.wrong {
        writeln!(out, "  {wrong}")?;
    }
    Ok(if report.wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
