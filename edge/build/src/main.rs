//! Converts the component and the compiled Worker to the files of a bundle.
//!
//! `tessera-edge-build engine COMPONENT DIRECTORY` writes the component's core module, byte for byte, to `engine.wasm`,
//! and its imports and exports to `types.js`, in terms of `edge/js/abi.js`.
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
                // The Worker restarts after a panic.
                .reset_state_function(true);
            bindgen.generate(directory)?;
        }
        other => bail!("unknown command `{other}`"),
    }
    Ok(())
}
