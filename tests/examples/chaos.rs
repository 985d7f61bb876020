//! Load with faults, for any time: `cargo xtask chaos [SECONDS] [STORE…]`

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use tessera_tests::chaos::{SEED, Store, run};

const SECONDS: u64 = 600;

/// Reads the duration in seconds and the stores from the arguments. By default these are 600 seconds and all stores.
fn plan(arguments: &[String]) -> Result<(u64, Vec<Store>), String> {
    let (seconds, names) = match arguments.split_first() {
        Some((first, names)) if first.bytes().all(|byte| byte.is_ascii_digit()) => {
            let seconds = first
                .parse()
                .map_err(|_| format!("{first} is not a number of seconds"))?;
            (seconds, names)
        }
        _ => (SECONDS, arguments),
    };
    let named = |name: &String| {
        let store = Store::ALL.into_iter().find(|store| store.name() == name);
        store.ok_or_else(|| format!("{name} is not one of {:?}", Store::ALL.map(Store::name)))
    };
    let stores: Vec<Store> = names.iter().map(named).collect::<Result<_, _>>()?;
    let all = if stores.is_empty() {
        Store::ALL.to_vec()
    } else {
        stores
    };
    Ok((seconds, all))
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (seconds, stores) = plan(&arguments)?;
    let seed = std::env::var("TESSERA_SEED").map_or(Ok(SEED), |text| text.parse())?;
    let mut out = io::stdout().lock();
    let mut is_well = true;
    for store in stores {
        let report = run(store, seed, Duration::from_secs(seconds));
        writeln!(out, "{}", report.line())?;
        for wrong in &report.wrong {
            writeln!(out, "  {wrong}")?;
        }
        is_well &= report.wrong.is_empty() && report.acknowledged == report.found;
    }
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
