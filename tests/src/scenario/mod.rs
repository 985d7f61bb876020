//! Scenarios: steps with their expected results, in JSON that a runner in any language can read.
//!
//! `tests/scenarios/README.md` describes the format. [`load`] reads a directory of scenarios, and [`run`] runs one.

mod compare;
mod many;
mod promises;
mod runner;
mod shown;
mod text;
mod token_steps;

use std::path::Path;

use serde_json::{Map, Value};

use crate::adapter::args::Args;

pub use crate::adapter::rust::Pace;
pub use many::{chosen, each};
pub use runner::{run, run_in_process, run_in_worker, run_on};

/// The start time of every scenario: 2026-01-01T00:00:00Z, in milliseconds since 1970.
pub const BEGINNING_MS: u64 = 1_767_225_600_000;

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name of its file.
    pub file: String,
    /// Its name, which states the property that it shows.
    pub name: String,
    /// Changes to the default policy, for the host `main`.
    pub policy: Map<String, Value>,
    /// The assurance level whose timeouts the policy starts from.
    pub preset: Option<String>,
    /// The keys of the host `main`.
    pub keys: Option<Value>,
    /// Changes to the store's capabilities.
    pub store: Map<String, Value>,
    /// The reason for its failure, if it is correct and the engine does not pass it yet.
    pub known_failure: Option<String>,
    /// The steps, in order.
    pub steps: Vec<Value>,
}

impl Scenario {
    fn read(file: &str, scenario: &Value) -> Result<Self, String> {
        let mut args = Args::new(scenario)?;
        let name = args.text("name")?;
        let read = |args: &mut Args| {
            args.optional("why");
            let scenario = Self {
                file: file.to_owned(),
                name: name.clone(),
                policy: args.optional_object("policy")?,
                preset: args.optional_text("preset")?,
                keys: args.optional("keys"),
                store: args.optional_object("store")?,
                known_failure: args.optional_text("known-failure")?,
                steps: args.list("steps")?,
            };
            args.finish()?;
            Ok(scenario)
        };
        read(&mut args).map_err(|error: String| format!("{file}, {name:?}: {error}"))
    }
}

/// Reads the scenarios of one file.
///
/// # Errors
/// If the text is not a list of scenarios, or two scenarios have the same name.
pub fn parse(file: &str, text: &str) -> Result<Vec<Scenario>, String> {
    let read: Value = serde_json::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    let Value::Array(list) = text::expand(&read)? else {
        return Err(format!("{file}: the file is not a list of scenarios"));
    };
    let mut scenarios: Vec<Scenario> = Vec::with_capacity(list.len());
    for scenario in &list {
        let scenario = Scenario::read(file, scenario)?;
        if scenarios.iter().any(|other| other.name == scenario.name) {
            return Err(format!("{file}: duplicate name {:?}", scenario.name));
        }
        scenarios.push(scenario);
    }
    Ok(scenarios)
}

/// Reads all scenarios of a directory's `.json` files, in the order of the files' names.
///
/// # Errors
/// If the directory or a file cannot be read, and the errors of [`parse`].
pub fn load(folder: &Path) -> Result<Vec<Scenario>, String> {
    let listed = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = listed.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut scenarios = Vec::new();
    for path in paths {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        scenarios.extend(parse(&file, &text)?);
    }
    Ok(scenarios)
}
