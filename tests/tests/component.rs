//! What the component is: its imports and exports to the letter, and its size.

#![expect(
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use tessera::Component;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wit_component::DecodedWasm;
use wit_parser::{InterfaceId, Resolve, WorldId, WorldItem};

const MAXIMUM_BYTES: usize = 180 * 1024;
const MAXIMUM_COMPRESSED_BYTES: usize = 74 * 1024;
/// Chicory compiles each function to one JVM method, and HotSpot compiles no method with more than 8000 bytes of bytecode.
const MAXIMUM_FUNCTION_BYTES: usize = 5_500;

/// The component's own world, read back from its bytes.
fn world() -> (Resolve, WorldId) {
    match wit_component::decode(Component::bytes()).expect("it is a component") {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => panic!("it is a package of interfaces"),
    }
}

fn names<'a>(resolve: &Resolve, items: impl Iterator<Item = &'a WorldItem>) -> BTreeMap<String, InterfaceId> {
    let interface = |item: &WorldItem| match item {
        WorldItem::Interface { id, .. } => (resolve.id_of(*id).expect("it has a name"), *id),
        other => panic!("{other:?} stands outside of an interface"),
    };
    items.map(interface).collect()
}

#[test]
fn it_imports_a_store_a_clock_and_a_random_source_and_nothing_else() {
    let (resolve, world) = world();
    let world = &resolve.worlds[world];
    let named = |names: &[&str]| -> BTreeSet<String> {
        names
            .iter()
            .map(|name| format!("tessera:session/{name}@0.2.0"))
            .collect()
    };
    let imports: BTreeSet<String> = names(&resolve, world.imports.values()).into_keys().collect();
    assert_eq!(imports, named(&["types", "store", "clock", "random"]));
    let exports: BTreeSet<String> = names(&resolve, world.exports.values()).into_keys().collect();
    assert_eq!(exports, named(&["policy", "sessions"]));
}

/// Every function that crosses, as the list beside this test has it. Whoever changes one changes a contract.
#[test]
fn its_functions_are_exactly_those_listed() {
    let (resolve, world) = world();
    let world = &resolve.worlds[world];
    let imports = names(&resolve, world.imports.values())
        .into_iter()
        .map(|found| ("import", found));
    let exports = names(&resolve, world.exports.values())
        .into_iter()
        .map(|found| ("export", found));
    let mut found = Vec::new();
    for (direction, (name, id)) in imports.chain(exports) {
        let short = name
            .trim_start_matches("tessera:session/")
            .trim_end_matches("@0.2.0");
        found.extend(
            resolve.interfaces[id]
                .functions
                .keys()
                .map(|function| format!("{direction} {short} {function}")),
        );
    }
    found.sort();
    let listed: Vec<&str> = include_str!("component.txt").lines().collect();
    assert_eq!(found, listed, "found:\n{}", found.join("\n"));
}

#[test]
fn it_is_small() {
    let raw = Component::bytes().len();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(Component::bytes()).unwrap();
    let compressed = encoder.finish().unwrap().len();
    println!("{raw} bytes, {compressed} compressed");
    assert!(raw <= MAXIMUM_BYTES, "{raw} bytes");
    assert!(
        compressed <= MAXIMUM_COMPRESSED_BYTES,
        "{compressed} bytes compressed"
    );
}

/// The core modules in the component.
fn modules() -> Vec<&'static [u8]> {
    let payloads = Parser::new(0).parse_all(Component::bytes());
    let modules = payloads.filter_map(|payload| match payload.expect("it is a component") {
        Payload::ModuleSection {
            unchecked_range: range,
            ..
        } => Some(&Component::bytes()[range]),
        _ => None,
    });
    modules.collect()
}

/// What rustc uses of WebAssembly by itself, and nothing beyond: no SIMD, threads, exceptions, tail calls or collected memory.
#[test]
fn it_uses_what_every_runtime_has() {
    let features = WasmFeatures::WASM1
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::BULK_MEMORY;
    let modules = modules();
    assert!(!modules.is_empty());
    for module in modules {
        Validator::new_with_features(features)
            .validate_all(module)
            .expect("it uses no more than is listed");
    }
}

#[test]
fn no_function_of_it_is_too_long_for_a_runtime() {
    let mut longest = 0;
    for module in modules() {
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::CodeSectionEntry(body) = payload.expect("it is a module") {
                longest = longest.max(body.range().len());
            }
        }
    }
    println!("the longest function has {longest} bytes");
    assert!((1..=MAXIMUM_FUNCTION_BYTES).contains(&longest), "{longest} bytes");
}

#[test]
fn it_holds_no_path_of_the_machine_that_built_it() {
    let text = String::from_utf8_lossy(Component::bytes());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let root = std::path::Path::new(root).canonicalize().unwrap();
    assert!(!text.contains(root.to_str().unwrap()));
    for mark in [".cargo/registry", ".rustup", "index.crates.io"] {
        assert!(!text.contains(mark), "{mark}");
    }
}

#[test]
fn its_hash_is_the_one_it_is_published_under() {
    use sha2::Digest as _;
    let hash: String = sha2::Sha256::digest(Component::bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hash, Component::sha256());
}
