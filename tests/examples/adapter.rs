//! The Rust host as an adapter of the conformance runner, which starts it. `docs/conformance.md` describes the lines.

use std::process::ExitCode;

fn main() -> ExitCode {
    match tessera_tests::adapter::serve::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "adapter: {error}");
            ExitCode::FAILURE
        }
    }
}
