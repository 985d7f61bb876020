//! The Markdown pages: links and anchors lead somewhere, and the README stays short.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use tessera_tests::program::root;

const README_LINES: usize = 130;

/// All pages: those at the top, in `docs`, and beside the scenarios.
fn pages() -> Vec<PathBuf> {
    let root = root();
    let folders = ["", "docs", "docs/design", "tests/scenarios"].map(|folder| root.join(folder));
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let files = files.map(|file| file.expect("a file").path());
    files
        .filter(|file| file.extension().is_some_and(|ext| ext == "md"))
        .collect()
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).expect("a page")
}

/// The lines that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// A heading's anchor, by GitHub's rules: small letters, digits, `-` and `_`; spaces as `-`.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .replace(' ', "-")
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        .collect()
}

/// The anchors of a page; a heading that stands again has a number behind it.
fn anchors(text: &str) -> HashSet<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let slug = slug(line.trim_start_matches('#'));
            let count = counts.entry(slug.clone()).or_default();
            *count += 1;
            match *count {
                1 => slug,
                again => format!("{slug}-{}", again - 1),
            }
        })
        .collect()
}

/// Where the links of a page lead.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((link, after)) = after.split_once(')') else {
                break;
            };
            found.push(link.to_owned());
            rest = after;
        }
    }
    found
}

#[test]
fn every_link_within_the_project_leads_to_a_file_and_an_anchor_that_are_there() {
    let (mut broken, mut checked) = (Vec::new(), 0);
    for page in pages() {
        let text = read(&page);
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("a folder").join(file),
            };
            let is_page = target.extension().is_some_and(|ext| ext == "md");
            let is_there =
                target.exists() && (anchor.is_empty() || is_page && anchors(&read(&target)).contains(anchor));
            if !is_there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(checked > 50, "{checked} links were found");
}

#[test]
fn every_page_of_docs_stands_in_its_index() {
    let index = links(&read(&root().join("docs/README.md")));
    for page in pages() {
        let docs = root().join("docs");
        let name = page.strip_prefix(&docs).ok().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|name| *name != "README.md") {
            assert!(
                index.iter().any(|link| link == name),
                "{name} is not in docs/README.md"
            );
        }
    }
}

#[test]
fn the_readme_is_read_in_a_few_minutes() {
    let lines = read(&root().join("README.md")).lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    let text = "# One, two\n```\n# no heading\n```\n## `cached+`: three\n## Same\n## Same\n";
    let wanted = ["one-two", "cached-three", "same", "same-1"];
    assert_eq!(anchors(text), wanted.map(str::to_owned).into());
    assert_eq!(links("[a](b.md#c) and ![d](e.png)"), ["b.md#c", "e.png"]);
}

/// The document has a version of its own, in JSON.
#[test]
fn the_description_of_the_api_has_the_version_of_the_packages() {
    let document: serde_json::Value =
        serde_json::from_str(&read(&root().join("http/src/api/openapi.json"))).expect("JSON");
    let manifest = read(&root().join("Cargo.toml"));
    let (_, package) = manifest
        .split_once("[workspace.package]\nversion = \"")
        .expect("a version");
    let (version, _) = package.split_once('"').expect("its end");
    assert_eq!(document["info"]["version"], version);
}
