//! Takes every order of several clients' steps in the store. `cargo xtask explore [NAME…]`

#![expect(clippy::print_stdout, reason = "a command for the terminal")]

use std::process::ExitCode;
use std::time::Instant;

use tessera::Component;
use tessera_tests::interleave::campaign::{campaigns, explore_all};

/// So many violations of a campaign are told.
const TOLD: usize = 3;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let component = Component::embedded()?;
    let known: Vec<String> = campaigns().into_iter().map(|campaign| campaign.name).collect();
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        return Err(format!("there is no campaign {unknown}, but {}", known.join(", ")).into());
    }
    let mut found = 0;
    for campaign in campaigns() {
        let wanted = if named.is_empty() {
            !campaign.long
        } else {
            named.contains(&campaign.name)
        };
        if !wanted {
            continue;
        }
        let began = Instant::now();
        let (report, violations) = explore_all(&campaign.plans, &component, campaign.how);
        let (plans, seconds) = (campaign.plans.len(), began.elapsed().as_secs_f32());
        println!(
            "{}: {plans} plans, {} violations: {report}; {seconds:.1} s",
            campaign.name,
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
