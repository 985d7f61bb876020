//! `tessera`: a session service over HTTP, and its tools.

mod component;
mod connections;
mod demo;
mod duration;
mod environment;
mod failure;
mod files;
mod key;
mod key_ring;
mod limits;
mod migrate;
mod moment;
mod output;
mod policy;
mod reload;
mod secrets;
mod serve;
mod server;
mod service;
mod sessions;
mod store;
mod token;
mod transports;
mod wire;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// The heap of the service.
///
/// A remembered open is small and lives long, and is allocated between the short-lived 8 KiB read buffers of a database client.
/// glibc's allocator leaves those pages to the remembered open alone: 8 KB for each instead of 1.4.
/// It uses no huge pages, which would keep the unused half of each connection's buffers in memory: 22.3 KB for an idle stream
/// instead of 17.8, and 61 MB for an idle service instead of 32, at the same processor time.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sessions for services in several languages: one engine, sandboxed, over any store.
#[derive(Parser)]
#[command(
    name = "tessera",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: a JSON API over HTTP.
    Serve(Box<serve::Serve>),
    /// Create, add, promote and retire signing keys.
    #[command(subcommand, arg_required_else_help = true)]
    Key(key::Key),
    /// Decode and verify tokens.
    #[command(subcommand, arg_required_else_help = true)]
    Token(token::Token),
    /// List, show, end and count the sessions in a store.
    #[command(subcommand, arg_required_else_help = true)]
    Sessions(sessions::Sessions),
    /// List and end open connections, and send messages to them.
    #[command(subcommand, arg_required_else_help = true)]
    Connections(connections::Command),
    /// Copy the sessions of one store to another, while the service runs.
    Migrate(migrate::Migrate),
    /// Extract the WebAssembly component from this program, to audit it or to run it elsewhere.
    #[command(subcommand, arg_required_else_help = true)]
    Component(component::Component),
}

fn main() -> ExitCode {
    let matches = environment::trimmed(Cli::command()).try_get_matches();
    let matches = matches.unwrap_or_else(|error| match error.kind() {
        // A URL where no argument is expected may contain a password.
        ErrorKind::UnknownArgument if error.to_string().contains("://") => {
            output::complain(
                "error: unexpected argument: give the URL of a store with --store, or in TESSERA_STORE",
            );
            std::process::exit(2)
        }
        _ => error.exit(),
    });
    let cli = Cli::from_arg_matches(&matches);
    let command = match cli {
        Ok(cli) => cli.command,
        Err(error) => error.exit(),
    };
    if matches!(command, Command::Serve(_)) {
        for warning in environment::warnings(&Cli::command()) {
            output::complain(&format!("tessera: warning: {warning}"));
        }
    }
    let result = match command {
        Command::Serve(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Sessions(command) => command.run(),
        Command::Connections(command) => command.run(),
        Command::Migrate(command) => command.run(),
        Command::Component(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has closed it.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("tessera: {error}"));
            ExitCode::FAILURE
        }
    }
}
