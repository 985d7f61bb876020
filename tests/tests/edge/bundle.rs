//! The bundle holds the component's own module, byte for byte.

use std::process::Command;

use sha2::{Digest as _, Sha256};
use tessera_tests::edge::bundle;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Reads unsigned LEB128.
fn number(bytes: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = bytes.split_first().expect("a number");
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

/// The largest core module of a component: section 1 holds one (Component Model, Binary Format).
fn module_of(component: &[u8]) -> Vec<u8> {
    let mut rest = component.get(8..).expect("a component");
    let mut found: &[u8] = &[];
    while let Some((&section, after)) = rest.split_first() {
        rest = after;
        let length = number(&mut rest);
        let (body, after) = rest.split_at(length);
        if section == 1 && body.len() > found.len() {
            found = body;
        }
        rest = after;
    }
    found.to_vec()
}

#[test]
fn the_engine_in_the_bundle_is_the_module_of_the_exported_component() {
    let program = tessera_tests::program::program();
    let exported = Command::new(&program).args(["component", "export", "-"]).output();
    let component = exported.expect("the program runs").stdout;
    let said = Command::new(&program)
        .args(["component", "sha256"])
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&sha256(&component)), "the program says {said}");

    let inside = module_of(&component);
    assert!(inside.starts_with(b"\0asm\x01\0\0\0"), "it is a core module");
    let bundled = std::fs::read(bundle().join("engine.wasm")).expect("the bundle's engine");
    assert_eq!(sha256(&bundled), sha256(&inside));
}
