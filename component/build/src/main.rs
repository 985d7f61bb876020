//! Compiles the engine to the component.
//!
//! - `tessera-component-build write FILE` compiles the component and writes it to the file.
//! - `tessera-component-build check FILE` compiles the component and compares it with the file.

#![expect(clippy::print_stdout, reason = "a command for the terminal")]

use std::path::Path;
use std::{env, fs};

use tessera_component_build::{Failure, compile, component};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [command, file] = &arguments[..] else {
        return Err("usage: tessera-component-build write FILE | check FILE".into());
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), Into::into);
    let module = fs::read(compile(&workspace, &target.join("guest-component"))?)?;
    let component = component(&module)?;
    match command.as_str() {
        "write" => {
            fs::write(file, &component)?;
            println!("{file}: {} bytes", component.len());
            Ok(())
        }
        "check" if fs::read(file)? == component => Ok(()),
        "check" => {
            Err(format!("{file} differs from its sources; `cargo xtask component` compiles them").into())
        }
        other => Err(format!("unknown command: {other}").into()),
    }
}
