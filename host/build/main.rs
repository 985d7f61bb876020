//! Builds the component from `guest/`, makes it a component, and compiles it ahead of time.
//!
//! Both results are embedded: the component itself, so that it can be taken out and audited, and the machine code,
//! so that a host starts in milliseconds.

#![expect(clippy::print_stdout, reason = "a build script speaks to cargo on its output")]

use std::path::{Path, PathBuf};
use std::{env, fs};

mod guest;
#[path = "../src/driver/instructions.rs"]
mod instructions;
#[path = "../src/driver/settings.rs"]
mod settings;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.parent().ok_or("host/ lies in no workspace")?.to_owned();
    let out = PathBuf::from(variable("OUT_DIR")?);
    // All that the component is made of, the form of fields in `contract/` too.
    for watched in [
        "guest/src",
        "guest/Cargo.toml",
        "contract/src",
        "contract/Cargo.toml",
        "wit",
        "Cargo.lock",
        "Cargo.toml",
    ] {
        println!("cargo:rerun-if-changed={}", workspace.join(watched).display());
    }
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=src/driver/settings.rs");
    println!("cargo:rerun-if-changed=src/driver/instructions.rs");

    let module = fs::read(guest::build(&workspace, &out)?)?;
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .encode()?;
    let component = without_names(&component)?;
    write(&out, "tessera.wasm", &component)?;
    write(&out, "tessera.cwasm", &precompile(&component)?)?;
    println!("cargo:rustc-env=TESSERA_COMPONENT_SHA256={}", sha256(&component));
    Ok(())
}

/// Leaves out the custom sections at the top of a component: names of its parts, which no host reads (8 KB).
fn without_names(component: &[u8]) -> Result<Vec<u8>, Failure> {
    const HEADER_BYTES: usize = 8;
    const CUSTOM: u8 = 0;
    let mut kept = component.get(..HEADER_BYTES).ok_or("no component")?.to_vec();
    let mut rest = &component[HEADER_BYTES..];
    while let Some((&kind, body)) = rest.split_first() {
        let (mut length, mut digits) = (0_usize, 0);
        loop {
            let digit = *body.get(digits).ok_or("a section's length is cut off")?;
            length |= usize::from(digit & 0x7f) << (7 * digits);
            digits += 1;
            if digit < 0x80 {
                break;
            }
        }
        let (section, after) = rest
            .split_at_checked(1 + digits + length)
            .ok_or("a section is cut off")?;
        if kind != CUSTOM {
            kept.extend_from_slice(section);
        }
        rest = after;
    }
    Ok(kept)
}

fn precompile(component: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut config = settings::config();
    let target = variable("TARGET")?;
    config.target(&target)?;
    instructions::enable(&mut config, &target);
    Ok(wasmtime::Engine::new(&config)?.precompile_component(component)?)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    Ok(fs::write(folder.join(name), bytes)?)
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
