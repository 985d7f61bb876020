//! The conformance of a host in any language, driven through its adapter: `docs/conformance.md`.

mod cancellations;
mod interleavings;
mod kinds;
mod languages;
mod matrix;
mod stores;

use std::sync::Arc;

use tessera::store::MemoryStore;
use tokio::runtime::Runtime;

use crate::adapter::process::Process;
use crate::adapter::{Manner, Replies};
use crate::scenario;

pub use cancellations::cancellations;
pub use interleavings::interleavings;
pub use kinds::Kind;
pub use languages::{LANGUAGES, Language, language};
pub use matrix::{Cell, Column, Matrix};
pub use stores::{Servers, scenarios_over, suite};

/// Adapters that run at a time.
const AT_ONCE: usize = 4;

/// The columns of scenarios over the runner's memory: a name, and the manner.
pub const MANNERS: [(&str, Manner); 3] = [
    (
        "ready",
        Manner {
            replies: Replies::AtOnce,
            remember: true,
        },
    ),
    (
        "never ready",
        Manner {
            replies: Replies::Later,
            remember: true,
        },
    ),
    (
        "no memory",
        Manner {
            replies: Replies::AtOnce,
            remember: false,
        },
    ),
];

/// Runs all scenarios over the runner's memory. `None` if the host does not offer the manner.
///
/// # Errors
/// If the adapter cannot be started, or the scenarios cannot be read.
pub fn scenarios(language: &Language, manner: Manner) -> Result<Option<Cell>, String> {
    if !runtime()?.block_on(language.start()?.offers(manner))? {
        return Ok(None);
    }
    over(language, manner, async |_| Ok(memory())).map(Some)
}

/// A runtime of one thread.
fn runtime() -> Result<Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| error.to_string())
}

fn memory() -> MemoryStore {
    MemoryStore::builder()
        .sweep_interval(std::time::Duration::ZERO)
        .build()
}

/// Runs all scenarios, each over a new store.
fn over<S: tessera::store::StoreService>(
    language: &Language,
    manner: Manner,
    store: impl AsyncFn(&Arc<Process>) -> Result<S, String> + Sync,
) -> Result<Cell, String> {
    let chosen = scenario::chosen()?;
    let run = async |process: &Arc<Process>, scenario: &scenario::Scenario| {
        scenario::run_in_process(scenario, store(process).await?, process, manner).await
    };
    let failures = scenario::each(&chosen, AT_ONCE, || language.start(), run)?;
    Ok(Cell::of(chosen.len(), failures))
}
