//! Compiles the component ahead of time and embeds the machine code, so that a host starts in milliseconds.

use std::path::PathBuf;
use std::{env, fs};

#[path = "src/driver/instructions.rs"]
mod instructions;
#[path = "src/driver/settings.rs"]
mod settings;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    for watched in ["build.rs", "src/driver/settings.rs", "src/driver/instructions.rs"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let component = tessera_component::BYTES;
    let out = PathBuf::from(variable("OUT_DIR")?);
    fs::write(out.join("tessera.cwasm"), precompile(component)?)?;
    println!("cargo:rustc-env=TESSERA_COMPONENT_SHA256={}", sha256(component));
    Ok(())
}

fn precompile(component: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut config = settings::config();
    let target = variable("TARGET")?;
    config.target(&target)?;
    instructions::enable(&mut config, &target);
    Ok(wasmtime::Engine::new(&config)?.precompile_component(component)?)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn variable(name: &str) -> Result<String, Failure> {
    env::var(name).map_err(|error| format!("{name}: {error}").into())
}
