//! The arrows of ARCHITECTURE.md against the manifests and the imports: a crate or module uses what the page says, nothing is
//! used in a circle.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

#[path = "arrows/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use imports::Imports;
use tessera_tests::program::root;

/// One crate in the table: the crates that it uses, and its modules in layers, the top one first.
struct Row {
    folder: String,
    uses: BTreeSet<String>,
    layers: Vec<Vec<String>>,
}

/// The names in backticks of a text.
fn names(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The table below the heading `Arrows`: folder, crates, modules.
fn table() -> Vec<Row> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (_, section) = page.split_once("\n## Arrows\n").expect("a section Arrows");
    let section = section
        .split_once("\n## ")
        .map_or(section, |(section, _)| section);
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Row> = rows
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let [folder, uses, layers] = cells[..] else {
                panic!("three cells: {line}");
            };
            Row {
                folder: names(folder)
                    .next()
                    .expect("a folder")
                    .trim_matches('/')
                    .to_owned(),
                uses: names(uses)
                    .map(|name| name.trim_matches('/').to_owned())
                    .collect(),
                layers: layers.split('›').map(|layer| names(layer).collect()).collect(),
            }
        })
        .collect();
    assert!(rows.len() >= 9, "{} rows", rows.len());
    rows
}

/// The folders of the members that a member depends on, tests apart.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let folders = BTreeMap::from([
        ("tessera", "host"),
        ("tessera-component", "component"),
        ("tessera-component-build", "component/build"),
        ("tessera-connections", "connections"),
        ("tessera-contract", "contract"),
        ("tessera-embedding", "plugins/embedding"),
        ("tessera-guest", "guest"),
        ("tessera-http", "http"),
        ("tessera-stores", "stores"),
    ]);
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    let mut found = BTreeSet::new();
    let mut is_counted = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_counted = line.ends_with("dependencies]") && line != "[dev-dependencies]";
        } else if let Some(name) = line.split(['.', ' ', '=']).next()
            && is_counted
            && name.starts_with("tessera")
        {
            let folder = folders
                .get(name)
                .unwrap_or_else(|| panic!("{name} is not a member"));
            found.insert((*folder).to_owned());
        }
    }
    found
}

#[test]
fn a_crate_depends_on_the_crates_that_the_page_names() {
    for row in table() {
        assert_eq!(dependencies(&row.folder), row.uses, "{}", row.folder);
    }
}

#[test]
fn every_member_with_sources_stands_in_the_table() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let line = manifest
        .lines()
        .find(|line| line.starts_with("members"))
        .expect("members");
    let members: BTreeSet<String> = line.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let rows: BTreeSet<String> = table().into_iter().map(|row| row.folder).collect();
    assert_eq!(rows, members);
}

#[test]
fn a_module_uses_only_modules_of_lower_layers() {
    for row in table() {
        let imports = Imports::of(&root().join(&row.folder).join("src"));
        let layer = |module: &str| {
            row.layers
                .iter()
                .position(|layer| layer.iter().any(|name| name == module))
        };
        let mut wrong = Vec::new();
        for module in imports.top_modules() {
            if layer(&module).is_none() {
                wrong.push(format!("{module} is in no layer"));
            }
        }
        for (from, to) in imports.top_arrows() {
            if layer(&from) >= layer(&to) {
                wrong.push(format!("{from} uses {to}"));
            }
        }
        let known: BTreeSet<String> = imports.top_modules().collect();
        for name in row.layers.iter().flatten().filter(|name| !known.contains(*name)) {
            wrong.push(format!("{name} is not there"));
        }
        assert!(
            wrong.is_empty(),
            "{}: {}\nthe layers are\n{}",
            row.folder,
            wrong.join("; "),
            imports.layers()
        );
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    for row in table() {
        let imports = Imports::of(&root().join(&row.folder).join("src"));
        let circles = imports.circles();
        assert!(circles.is_empty(), "{}: {circles:?}", row.folder);
    }
}
