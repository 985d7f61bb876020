//! The Markdown pages: links and anchors lead somewhere, and the README stays short.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use tessera_tests::pages::pages;
use tessera_tests::program::root;

const README_LINES: usize = 130;

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

/// The lines of a block of a WIT file, such as `record policy`, without its braces.
fn block<'a>(wit: &'a str, header: &str) -> Option<Vec<&'a str>> {
    let (_, body) = wit.split_once(&format!("{header} {{\n"))?;
    let (body, _) = body.split_once("\n    }")?;
    Some(body.lines().map(str::trim).collect())
}

/// A field of the policy in the contract.
struct Field {
    name: String,
    /// Its limits, as its documentation states them; the cases of an enum.
    limits: String,
}

/// The limits in the documentation of a field: behind `Default …;`, else the last sentence.
fn limits(doc: &str) -> String {
    let sentences: Vec<&str> = doc.trim_end_matches('.').split(". ").collect();
    let stated = sentences
        .iter()
        .find_map(|sentence| sentence.strip_prefix("Default "));
    let limits = stated
        .and_then(|stated| stated.split_once("; "))
        .map(|(_, limits)| limits);
    limits
        .or(sentences.last().copied())
        .unwrap_or_default()
        .to_owned()
}

fn fields(wit: &str) -> Vec<Field> {
    let (mut fields, mut doc) = (Vec::new(), String::new());
    for line in block(wit, "record policy").expect("the record") {
        if let Some(text) = line.strip_prefix("/// ") {
            doc = format!("{doc} {text}").trim_start().to_owned();
            continue;
        }
        let (name, kind) = line
            .trim_end_matches(',')
            .split_once(": ")
            .expect("a field and its type");
        let is_case = |line: &&str| !line.is_empty() && !line.starts_with("///");
        let cases = block(wit, &format!("enum {kind}")).map(|lines| {
            let cases = lines.into_iter().filter(is_case);
            cases
                .map(|case| format!("`{}`", case.trim_end_matches(',')))
                .collect::<Vec<_>>()
                .join(", ")
        });
        let limits = cases.unwrap_or_else(|| limits(&doc));
        fields.push(Field {
            name: name.to_owned(),
            limits,
        });
        doc.clear();
    }
    fields
}

/// The rows of the tables of a page whose first column has this header.
fn rows<'a>(page: &'a str, header: &str) -> Vec<Vec<&'a str>> {
    let cells = |line: &'a str| {
        line.trim_matches('|')
            .split(" | ")
            .map(str::trim)
            .collect::<Vec<_>>()
    };
    let (mut found, mut is_table) = (Vec::new(), false);
    for line in page.lines() {
        let is_row = line.starts_with('|');
        if is_row && is_table && !line.starts_with("|--") {
            found.push(cells(line));
        } else if is_row {
            is_table |= cells(line)[0] == header;
        } else {
            is_table = false;
        }
    }
    found
}

/// The words in backquotes.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// A value of the policy, as the page has it. Times are in the largest exact unit, but days only from two on.
fn shown(name: &str, value: &serde_json::Value) -> String {
    const UNITS: [(&str, u64, u64); 4] = [
        ("d", 86_400_000, 2),
        ("h", 3_600_000, 1),
        ("m", 60_000, 1),
        ("s", 1000, 1),
    ];
    match value {
        serde_json::Value::Null => "none".to_owned(),
        serde_json::Value::String(text) if text.is_empty() => "empty".to_owned(),
        serde_json::Value::String(text) => format!("`{text}`"),
        serde_json::Value::Array(list) if list.is_empty() => "empty".to_owned(),
        serde_json::Value::Number(number) if name.ends_with("-ms") => {
            let millis = number.as_u64().expect("milliseconds");
            let unit = UNITS
                .iter()
                .find(|(_, each, least)| millis.is_multiple_of(*each) && millis / each >= *least);
            unit.map_or(format!("{millis}ms"), |(unit, each, _)| {
                format!("{}{unit}", millis / each)
            })
        }
        other => other.to_string(),
    }
}

/// The whole policies of `tests/scenarios/policy.json`, each with its preset. The scenarios compare them with the engine's.
fn presets() -> Vec<(String, serde_json::Map<String, serde_json::Value>)> {
    let text = read(&root().join("tests/scenarios/policy.json"));
    let scenarios: Vec<serde_json::Value> = serde_json::from_str(&text).expect("scenarios");
    let unchanged = scenarios
        .iter()
        .filter(|scenario| scenario.get("policy").is_none());
    let whole = unchanged.filter_map(|scenario| {
        let steps = scenario["steps"].as_array()?;
        let step = steps.iter().find(|step| step["do"] == "policy")?;
        let preset = scenario
            .get("preset")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("standard");
        Some((preset.to_owned(), step["expect"].as_object()?.clone()))
    });
    whole.collect()
}

#[test]
fn the_page_of_the_policy_has_every_field_with_its_default_its_limits_and_its_names() {
    let page = read(&root().join("docs/policy.md"));
    let fields = fields(&read(&root().join("wit/policy.wit")));
    let (rows, presets) = (rows(&page, "field"), presets());
    let (_, defaults) = presets
        .iter()
        .find(|(preset, _)| preset == "standard")
        .expect("the defaults");
    let library = read(&root().join("host/src/policy.rs"));
    for Field { name, limits } in &fields {
        let named = format!("`{name}`");
        let found: Vec<_> = rows.iter().filter(|row| row[0] == named).collect();
        let [row] = found[..] else {
            panic!("docs/policy.md has {} rows of {named}", found.len());
        };
        let [_, _, rust, default, limit, _] = row[..] else {
            panic!("six cells: {row:?}");
        };
        let wanted = name.trim_end_matches("-ms").replace('-', "_");
        assert_eq!(code(rust), [wanted.as_str()], "{named}");
        assert!(
            library.contains(&format!("\n    pub {wanted}: ")),
            "{named} in host/src/policy.rs"
        );
        assert_eq!(default, shown(name, &defaults[name]), "the default of {named}");
        assert!(
            limit.eq_ignore_ascii_case(limits),
            "the limits of {named}: {limit:?}, and not {limits:?}"
        );
    }
    assert!(fields.len() > 20, "{} fields", fields.len());
    assert_eq!(
        rows.len(),
        fields.len(),
        "docs/policy.md has a field that wit/policy.wit has not"
    );
}

#[test]
fn the_page_of_the_policy_has_every_preset_with_its_timeouts() {
    let page = read(&root().join("docs/policy.md"));
    let (rows, presets) = (rows(&page, "preset"), presets());
    let wit = read(&root().join("wit/policy.wit"));
    let cases = block(&wit, "enum preset").expect("the enum");
    let cases: Vec<_> = cases.iter().filter(|line| !line.starts_with("///")).collect();
    assert_eq!(
        (rows.len(), presets.len()),
        (cases.len(), cases.len()),
        "{cases:?}"
    );
    let (_, defaults) = presets
        .iter()
        .find(|(preset, _)| preset == "standard")
        .expect("the defaults");
    for (preset, policy) in &presets {
        let row = rows.iter().find(|row| row[0] == format!("`{preset}`"));
        let row = row.unwrap_or_else(|| panic!("docs/policy.md has no preset {preset}"));
        let timeouts = ["idle-timeout-ms", "absolute-timeout-ms"];
        assert_eq!(
            row[3..],
            timeouts.map(|name| shown(name, &policy[name])),
            "{preset}"
        );
        for (name, value) in policy
            .iter()
            .filter(|(name, _)| !timeouts.contains(&name.as_str()))
        {
            assert_eq!(value, &defaults[name], "{name} depends on the preset {preset}");
        }
    }
}

/// The flags are compared in `deploy.rs`, which starts the program.
#[test]
fn the_page_of_the_policy_has_every_variable_of_the_worker() {
    let page = read(&root().join("docs/policy.md"));
    let variables = read(&root().join("edge/src/config/variables.rs"));
    let (_, known) = variables
        .split_once("const POLICY")
        .expect("the variables of the policy");
    let (known, _) = known.split_once("\n];").expect("their end");
    let known: HashSet<&str> = known
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with("TESSERA_"))
        .collect();
    let rows = rows(&page, "field");
    let named = rows
        .iter()
        .flat_map(|row| code(row[1]))
        .filter(|text| text.starts_with("TESSERA_"));
    assert_eq!(named.collect::<HashSet<_>>(), known);
}

/// The calls of cargo in a page: the words behind `cargo` in a line of code or a span of it.
fn cargo_calls(text: &str) -> Vec<Vec<String>> {
    let pieces = text.split(['\n', '`']).filter_map(|piece| {
        let (before, call) = piece.split_once("cargo ")?;
        // Variables may stand before it.
        before
            .split_whitespace()
            .all(|word| word.contains('='))
            .then_some(call)
    });
    let words = |call: &str| call.split_whitespace().map(str::to_owned).collect();
    pieces.map(words).collect()
}

/// The names in the manifests of the members.
fn packages() -> HashSet<String> {
    let members = fs::read_dir(root())
        .expect("the project")
        .map(|folder| folder.expect("a folder").path());
    let manifests = members.filter_map(|folder| fs::read_to_string(folder.join("Cargo.toml")).ok());
    let name = |manifest: String| {
        let (_, name) = manifest.split_once("\nname = \"")?;
        name.split('"').next().map(str::to_owned)
    };
    manifests.filter_map(name).collect()
}

#[test]
fn every_command_of_cargo_in_a_page_names_what_is_there() {
    let help = read(&root().join("xtask/src/main.rs"));
    let (mut wrong, mut checked, packages) = (Vec::new(), 0, packages());
    for page in pages() {
        for call in cargo_calls(&read(&page)) {
            for pair in call.windows(2) {
                let [word, name] = pair else { continue };
                let file = |folder: &str| root().join(folder).join(format!("{name}.rs")).exists();
                let is_there = match word.as_str() {
                    "xtask" => help.contains(&format!("\n  {name} ")),
                    "-p" | "--package" => packages.contains(name),
                    "--test" => file("tests/tests") || file("connections/tests"),
                    "--example" => file("host/examples") || file("tests/examples"),
                    _ => continue,
                };
                checked += 1;
                if !is_there {
                    wrong.push(format!("{}: {}", page.display(), call.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 50, "{checked} names were found");
}

#[test]
fn calls_of_cargo_are_found_in_prose_and_code() {
    let text = "Run `SEED=1 cargo xtask test a`, which cargo needs.\n```\ncargo test -p b\n```\n";
    let wanted = [vec!["xtask", "test", "a"], vec!["test", "-p", "b"]];
    assert_eq!(cargo_calls(text), wanted);
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
