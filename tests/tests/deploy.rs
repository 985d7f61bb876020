//! The files of `deploy` and the page about them: systemd accepts the unit, and the program knows the settings.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tessera_tests::pages::pages;
use tessera_tests::program::program;

const UNIT: &str = "deploy/tessera.service";
const CONTAINERFILE: &str = "deploy/Containerfile";
const PAGE: &str = "docs/deploy.md";
/// Where the unit and the container have the program.
const INSTALLED: &str = "/usr/local/bin/tessera";
/// The exposure, in tenths, above which `systemd-analyze security` fails. The unit has 13.
const EXPOSURE: &str = "20";
const PREFIX: &str = "TESSERA_";

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn output(command: &mut Command) -> Output {
    let started = command.stdin(Stdio::null()).output();
    started.unwrap_or_else(|error| {
        let program = command.get_program().display();
        panic!("{program} is installed by `cargo xtask test`, and yet: {error}")
    })
}

fn both(output: &Output) -> String {
    let (printed, said) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(&[&printed[..], said].concat()).into_owned()
}

/// The unit as it is, but for the place of the program, in a directory of the test's own.
fn unit() -> (tempfile::TempDir, PathBuf) {
    let text = read(UNIT);
    let program = program().canonicalize().expect("the program");
    let program = program.to_str().expect("UTF-8");
    assert_eq!(text.matches(INSTALLED).count(), 1, "{INSTALLED} in {UNIT}");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tessera.service");
    fs::write(&path, text.replace(INSTALLED, program)).expect("a unit");
    (directory, path)
}

#[test]
fn systemd_accepts_every_line_of_the_unit() {
    let (_directory, path) = unit();
    let verify = ["verify", "--man=no", "--recursive-errors=no"];
    let verified = output(Command::new("systemd-analyze").args(verify).arg(path));
    // An unknown setting is a warning alone.
    assert!(
        verified.status.success() && both(&verified).is_empty(),
        "{}",
        both(&verified)
    );
}

#[test]
fn systemd_reports_a_setting_that_it_does_not_know() {
    let (_directory, path) = unit();
    let text = fs::read_to_string(&path).expect("the unit");
    fs::write(&path, text.replace("PrivateTmp=", "PrivateTemp=")).expect("a unit");
    let verify = ["verify", "--man=no", "--recursive-errors=no"];
    let verified = output(Command::new("systemd-analyze").args(verify).arg(path));
    assert!(both(&verified).contains("PrivateTemp"), "{}", both(&verified));
}

#[test]
fn the_unit_exposes_little_of_the_machine() {
    let (_directory, path) = unit();
    let security = ["security", "--offline=true", "--no-pager"];
    let threshold = format!("--threshold={EXPOSURE}");
    let judged = output(
        Command::new("systemd-analyze")
            .args(security)
            .arg(threshold)
            .arg(path),
    );
    assert!(judged.status.success(), "{}", both(&judged));
}

/// The pieces between white space and the marks of Markdown, JSON and shells.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "`\"'[](),;|=<>".contains(c))
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| !word.is_empty())
}

/// The variables of Tessera that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find(PREFIX) {
        let from_here = &rest[at..];
        let end = from_here
            .find(|c: char| !c.is_ascii_uppercase() && c != '_')
            .unwrap_or(from_here.len());
        found.insert(from_here[..end].to_owned());
        rest = &from_here[end..];
    }
    found
}

/// The flags that stand in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let is_flag = |word: &&str| {
        let name = word.strip_prefix("--").unwrap_or_default();
        name.starts_with(|c: char| c.is_ascii_lowercase())
    };
    words(text).filter(is_flag).map(str::to_owned).collect()
}

/// What `--help` prints for a command, such as `["key", "add"]`.
fn help(command: &[&str]) -> String {
    let helped = output(Command::new(program()).args(command).arg("--help"));
    assert!(
        helped.status.success(),
        "tessera {}: {}",
        command.join(" "),
        both(&helped)
    );
    both(&helped)
}

/// A call of the program: its command, such as `key add`, and the flags behind it.
#[derive(Debug, PartialEq)]
struct Call {
    command: String,
    flags: BTreeSet<String>,
}

fn is_name(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The calls in a line: the program's name, then a command. What stands behind `&&` or another mark of a shell is no part of it.
fn calls(line: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for part in line.split(['&', ';', '|', '`', '(', ')']) {
        let words: Vec<&str> = words(part).collect();
        let is_program = |word: &&str| *word == "tessera" || word.ends_with("/tessera");
        for (at, _) in words.iter().enumerate().filter(|(_, word)| is_program(word)) {
            let behind = &words[at + 1..];
            let command: Vec<&str> = behind.iter().copied().take_while(|word| is_name(word)).collect();
            if !command.is_empty() {
                calls.push(Call {
                    command: command.join(" "),
                    flags: flags(&behind.join(" ")),
                });
            }
        }
    }
    calls
}

/// Whether a line of Markdown begins or ends a block of code.
fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// The calls in a page: in its blocks of code, line by line, and in the code within its prose.
fn calls_in_page(text: &str) -> Vec<Call> {
    let (mut calls_found, mut is_code) = (Vec::new(), false);
    for line in text.replace("\\\n", " ").lines() {
        if is_fence(line) {
            is_code = !is_code;
        } else if is_code {
            calls_found.extend(calls(line));
        } else {
            // Every second piece stands between backquotes.
            calls_found.extend(line.split('`').skip(1).step_by(2).flat_map(calls));
        }
    }
    calls_found
}

/// The flags that a page names by themselves in its prose, as `--clock-skew`.
fn flags_in_prose(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        is_code ^= is_fence(line);
        if is_code || is_fence(line) {
            continue;
        }
        let code = line.split('`').skip(1).step_by(2);
        found.extend(code.filter(|code| code.starts_with("--")).flat_map(flags));
    }
    found
}

/// All calls of the unit, the container and the pages.
fn all_calls() -> Vec<Call> {
    let lines = |file: &str| -> Vec<Call> { read(file).lines().flat_map(entrance).collect() };
    let found = [lines(UNIT), lines(CONTAINERFILE), calls_in_page(&read(PAGE))];
    for (calls, file) in found.iter().zip([UNIT, CONTAINERFILE, PAGE]) {
        assert!(!calls.is_empty(), "{file} calls the program nowhere");
    }
    let pages = pages()
        .into_iter()
        .map(|page| fs::read_to_string(page).expect("a page"));
    let in_pages = pages.flat_map(|text| calls_in_page(&text));
    found.into_iter().flatten().chain(in_pages).collect()
}

/// The call in a line that starts the program in a unit or a container.
fn entrance(line: &str) -> Vec<Call> {
    let starts = ["ExecStart=", "ENTRYPOINT "];
    let command = starts.iter().find_map(|start| line.strip_prefix(start));
    command
        .map(|command| calls(&words(command).collect::<Vec<_>>().join(" ")))
        .unwrap_or_default()
}

#[test]
fn the_program_knows_every_command_and_flag_that_the_files_and_pages_use() {
    let mut helps: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in all_calls() {
        let known = helps
            .entry(call.command.clone())
            .or_insert_with(|| flags(&help(&call.command.split(' ').collect::<Vec<_>>())));
        let unknown: Vec<&String> = call.flags.difference(known).collect();
        assert!(unknown.is_empty(), "tessera {}: {unknown:?}", call.command);
    }
    let known: BTreeSet<String> = helps.into_values().flatten().collect();
    let named = flags_in_prose(&read(PAGE));
    assert!(!named.is_empty(), "no flag is found in {PAGE}");
    let unknown: Vec<&String> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "{PAGE}: {unknown:?}");
}

#[test]
fn the_program_knows_every_variable_that_the_files_use() {
    let known = variables(&help(&["serve"]));
    for file in [UNIT, CONTAINERFILE, PAGE] {
        let used = variables(&read(file));
        assert!(!used.is_empty(), "no variable is found in {file}");
        let unknown: Vec<&String> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

/// The flags of `tessera serve` under these headings of its help, each with its variable.
fn flags_under(headings: &[&str]) -> BTreeMap<String, String> {
    let help = help(&["serve"]);
    let (mut found, mut is_under, mut flag) = (BTreeMap::new(), false, String::new());
    for line in help.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            is_under = headings.contains(&heading);
        }
        let line = line.trim_start();
        if let Some(named) = line.strip_prefix("--") {
            flag = format!("--{}", named.split(' ').next().unwrap_or_default());
        }
        if let Some(variable) = line.strip_prefix("[env: ").filter(|_| is_under) {
            found.insert(
                flag.clone(),
                variable.split(['=', ']']).next().unwrap_or_default().to_owned(),
            );
        }
    }
    found
}

#[test]
fn the_page_of_the_policy_has_every_flag_of_the_policy_beside_its_variable() {
    let page = read("docs/policy.md");
    let flags = flags_under(&["Policy", "Tokens"]);
    assert!(flags.len() > 15, "{flags:?}");
    for (flag, variable) in &flags {
        let row = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .find(|line| line.contains(&format!("`{flag}`")) || line.contains(&format!("`{flag} ")));
        let row = row.unwrap_or_else(|| panic!("docs/policy.md has no row of {flag}"));
        assert!(
            variables(row).contains(variable),
            "{flag} and {variable} in {row}"
        );
    }
    let known = flags_under(&["Policy", "Tokens", "Store"]);
    let named = flags_in_prose(&page);
    let unknown: Vec<_> = named.iter().filter(|flag| !known.contains_key(*flag)).collect();
    assert!(unknown.is_empty(), "docs/policy.md: {unknown:?}");
    let known: BTreeSet<&String> = known.values().collect();
    let of_worker = ["TESSERA_MAX_STALE".to_owned()];
    let unknown: Vec<_> = variables(&page)
        .into_iter()
        .filter(|name| !known.contains(name) && !of_worker.contains(name))
        .collect();
    assert!(unknown.is_empty(), "docs/policy.md: {unknown:?}");
}

#[test]
fn the_container_is_built_by_the_compiler_of_the_project() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = "));
    let channel = channel.expect("a channel").trim_matches('"');
    let text = read(CONTAINERFILE);
    let image = format!("docker.io/library/rust:{channel}-");
    assert_eq!(text.matches(&image).count(), 1, "{image}");
    assert_eq!(text.matches("/rust:").count(), 1, "another image of Rust");
    let variable = format!("ENV RUSTUP_TOOLCHAIN={channel}\n");
    assert!(text.contains(&variable), "{variable}");
}

#[test]
fn calls_of_the_program_are_found_among_those_of_others() {
    let call = |command: &str, flags: &[&str]| Call {
        command: command.to_owned(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    };
    let page = "\
        Run `tessera key retire OLD --force`, and not `systemctl restart tessera`; `--clock-skew` is a flag.\n\
        ```\n\
        install -o tessera -g tessera keys.json /var/lib/tessera/keys.json\n\
        podman run --detach --name tessera \\\n  --read-only tessera\n\
        podman exec tessera /usr/local/bin/tessera key list --file /data/keys.json && ls --all\n\
        TESSERA_LOG=debug tessera serve --data=x --demo off\n\
        ```\n";
    let wanted = [
        call("key retire", &["--force"]),
        call("key list", &["--file"]),
        call("serve", &["--data", "--demo"]),
    ];
    assert_eq!(calls_in_page(page), wanted);
    assert_eq!(flags_in_prose(page), ["--clock-skew".to_owned()].into());
    assert_eq!(variables(page), ["TESSERA_LOG".to_owned()].into());
    assert_eq!(
        entrance("ExecStart=/usr/local/bin/tessera serve --demo off"),
        [call("serve", &["--demo"])]
    );
    assert_eq!(
        entrance(r#"ENTRYPOINT ["/usr/local/bin/tessera", "serve"]"#),
        [call("serve", &[])]
    );
    assert_eq!(entrance("# ExecStart=/usr/local/bin/tessera serve"), []);
}
