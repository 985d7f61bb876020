//! Makes of the component and of the compiled Worker what a bundler takes.
//!
//! `tessera-edge-build engine COMPONENT DIRECTORY` writes the component's core module as `engine.wasm`, byte for byte, and
//! `types.js`: its imports and exports in the words of `edge/js/abi.js`.
//! `tessera-edge-build worker MODULE DIRECTORY` runs wasm-bindgen on the compiled Worker.

mod engine;
mod types;

use std::path::Path;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [command, input, directory] = &arguments[..] else {
        bail!("usage: tessera-edge-build engine COMPONENT DIRECTORY | worker MODULE DIRECTORY");
    };
    let directory = Path::new(directory);
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    match command.as_str() {
        "engine" => {
            let component = fs::read(input).with_context(|| input.clone())?;
            fs::write(directory.join("engine.wasm"), engine::core_module(&component)?)?;
            fs::write(directory.join("types.js"), types::describe(&component)?)?;
        }
        "worker" => {
            let mut bindgen = Bindgen::new();
            bindgen
                .input_path(input)
                .out_name("worker")
                .web(true)?
                .typescript(false)
                .omit_default_module_path(true)
                .remove_name_section(true)
                .remove_producers_section(true)
                // A Worker that panicked begins anew with its next request.
                .reset_state_function(true);
            bindgen.generate(directory)?;
        }
        other => bail!("there is no command {other}"),
    }
    Ok(())
}
