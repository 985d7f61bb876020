//! Environment variables as values of flags: white space around a value is ignored, and an empty value counts as unset.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap::{Arg, Command};

use crate::key_ring::KEYS_VARIABLE;
use crate::secrets::SERVICE_KEY_VARIABLE;

const PREFIX: &str = "TESSERA_";
/// Variables that no flag reads. Only the Worker reads the last two; it may share a file of variables with a service.
const OTHERS: [&str; 4] = [
    KEYS_VARIABLE,
    SERVICE_KEY_VARIABLE,
    "TESSERA_MAX_STALE",
    "TESSERA_STORE_TIMEOUT",
];
/// Minimum similarity of the known name that a warning proposes.
const ALIKE: f64 = 0.85;

/// Makes each flag of a command, and of its subcommands, read its variable without surrounding white space.
pub(crate) fn trimmed(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let Some(value) = arg.get_env().and_then(std::env::var_os) else {
                return arg;
            };
            // A value that is not Unicode is refused by its flag.
            match value.to_str() {
                Some(text) if text.trim() != text || text.is_empty() => with_value(arg, text.trim()),
                _ => arg,
            }
        })
        .mut_subcommands(trimmed)
}

fn with_value(arg: Arg, text: &str) -> Arg {
    let arg = arg.env(None::<&'static str>);
    if text.is_empty() {
        return arg;
    }
    // Leaked, because a default must live as long as the program.
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    arg.default_value(text).hide_default_value(true)
}

/// Returns a warning for each variable with Tessera's prefix that nothing reads.
pub(crate) fn warnings(command: &Command) -> Vec<String> {
    let mut known: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    collect(command, &mut known);
    let unknown = |(name, _): (std::ffi::OsString, _)| {
        let name = name.to_string_lossy().into_owned();
        (name.starts_with(PREFIX) && !known.contains(&name)).then(|| warning(&name, &known))
    };
    std::env::vars_os().filter_map(unknown).collect()
}

fn collect(command: &Command, known: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(Arg::get_env);
    known.extend(variables.filter_map(OsStr::to_str).map(str::to_owned));
    for subcommand in command.get_subcommands() {
        collect(subcommand, known);
    }
}

fn warning(name: &str, known: &BTreeSet<String>) -> String {
    let alike = |other: &&String| strsim::jaro_winkler(&name[PREFIX.len()..], &other[PREFIX.len()..]);
    let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    match nearest.filter(|other| alike(other) >= ALIKE) {
        Some(other) => format!("the variable {name} is unknown and ignored: is {other} meant?"),
        None => format!("the variable {name} is unknown and ignored"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Cli;

    /// Flags that may be given more than once. Their variables are lists.
    const LISTS: [&str; 6] = [
        "auth-header",
        "auth-transport",
        "protected-field",
        "public-field",
        "token-field",
        "transport",
    ];

    #[test]
    fn every_flag_of_the_service_has_its_variable() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").expect("the command");
        for arg in serve.get_arguments() {
            let Some(long) = arg.get_long().filter(|long| !["help", "version"].contains(long)) else {
                continue;
            };
            let plural = if LISTS.contains(&long) { "S" } else { "" };
            let name = format!("{PREFIX}{}{plural}", long.to_uppercase().replace('-', "_"));
            assert_eq!(
                arg.get_env().and_then(OsStr::to_str),
                Some(name.as_str()),
                "--{long}"
            );
            assert_eq!(
                arg.get_value_delimiter().is_some(),
                !plural.is_empty(),
                "--{long}"
            );
        }
    }

    #[test]
    fn a_name_that_is_misspelt_is_named_with_the_one_that_is_meant() {
        let mut known = BTreeSet::new();
        collect(&Cli::command(), &mut known);
        for (name, meant) in [
            ("TESSERA_IDLE_TIMOUT", Some("TESSERA_IDLE_TIMEOUT")),
            (
                "TESSERA_SESSION_PER_SUBJECT",
                Some("TESSERA_SESSIONS_PER_SUBJECT"),
            ),
            ("TESSERA_AUTH_HEADER", Some("TESSERA_AUTH_HEADERS")),
            ("TESSERA_XYZZY", None),
        ] {
            let warning = warning(name, &known);
            match meant {
                Some(meant) => assert!(warning.contains(&format!("is {meant} meant")), "{warning}"),
                None => assert!(!warning.contains("meant"), "{warning}"),
            }
        }
    }
}
