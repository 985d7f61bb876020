//! What the component is: its imports and exports to the letter, and its size.

#![expect(
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use tessera::Component;
use wit_component::DecodedWasm;
use wit_parser::{InterfaceId, Resolve, WorldId, WorldItem};

const MAXIMUM_BYTES: usize = 200 * 1024;
const MAXIMUM_COMPRESSED_BYTES: usize = 80 * 1024;

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
            .map(|name| format!("tessera:session/{name}@0.1.0"))
            .collect()
    };
    let imports: BTreeSet<String> = names(&resolve, world.imports.values()).into_keys().collect();
    assert_eq!(imports, named(&["types", "store", "clock", "random"]));
    let exports: BTreeSet<String> = names(&resolve, world.exports.values()).into_keys().collect();
    assert_eq!(exports, named(&["policy", "sessions", "flat"]));
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
            .trim_end_matches("@0.1.0");
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
