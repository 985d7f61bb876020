//! The transcripts of the pages: each command runs in a shell against a service, and prints what the page shows.

use std::fs;
use std::process::{Command, Stdio};

use tessera_tests::program::root;

use crate::serve;

/// The address in the pages.
const ADDRESS: &str = "http://127.0.0.1:8787";
/// The data directory in the pages.
const DATA: &str = "tessera-data/";
/// Stands for an omitted part of a reply.
const OMITTED: char = '…';

/// A command and the lines of its reply in the page.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    reply: Vec<String>,
}

/// The commands after `$ ` in the blocks of code of a page, each with its continuation lines.
fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut is_code, mut is_continued) = (Vec::<Step>::new(), false, false);
    // Whether the block of code has had a command: the lines before it are no reply.
    let mut is_transcript = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
            is_transcript = false;
            continue;
        }
        if !is_code {
            continue;
        }
        let command = line.strip_prefix("$ ");
        is_transcript |= command.is_some();
        match (command, steps.last_mut()) {
            (_, Some(step)) if is_continued => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            (Some(command), _) => steps.push(Step {
                command: command.to_owned(),
                reply: Vec::new(),
            }),
            (None, Some(step)) if is_transcript && !line.is_empty() => step.reply.push(line.to_owned()),
            _ => {}
        }
        is_continued = (is_continued || command.is_some()) && line.ends_with('\\');
    }
    steps
}

/// Whether a word is of the kind that differs in each run: a token, a public id, or a time in milliseconds.
fn differs(word: &str) -> bool {
    let is_id = word.len() == 22
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let is_time = word.len() == 13 && word.bytes().all(|byte| byte.is_ascii_digit());
    word.starts_with("ts1.") || is_id || is_time
}

/// The words of a line, which contain no quotes, white space or marks of JSON; and the texts between them.
fn words(line: &str) -> Vec<&str> {
    let is_mark = |c: char| c.is_whitespace() || "\"{}[],:=".contains(c);
    let mut words = Vec::new();
    let mut from = 0;
    for (at, mark) in line.match_indices(is_mark) {
        words.extend([&line[from..at], mark]);
        from = at + mark.len();
    }
    words.push(&line[from..]);
    words
}

/// The parts of a line of the page that the reply has, in this order.
fn parts(line: &str) -> Vec<String> {
    let mut text = String::new();
    for word in words(line) {
        if differs(word) {
            text.push(OMITTED);
        } else {
            text.push_str(word);
        }
    }
    text.split(OMITTED)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn has_parts(reply: &str, parts: &[String]) -> bool {
    let mut rest = reply;
    parts.iter().all(|part| match rest.split_once(part.as_str()) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

/// Runs the steps of a page in their order, and returns their number.
fn run(page: &str) -> usize {
    let text = fs::read_to_string(root().join(page)).expect("a page");
    let (_directory, server) = serve(&[]);
    let data = format!("{}/", server.data.display());
    let address = format!("http://{}", server.address);
    let (mut settings, mut token) = (String::new(), None::<String>);
    let steps = steps(&text);
    for Step { command, reply } in &steps {
        let mut command = command.replace(ADDRESS, &address).replace(DATA, &data);
        for word in words(&command.clone()) {
            if word.starts_with("ts1.") {
                command = command.replace(word, token.as_ref().expect("a reply with a token"));
            }
        }
        let script = format!("{settings}\n{command}");
        let run = Command::new("bash")
            .args(["-euc", &script])
            .stdin(Stdio::null())
            .output();
        let run = run.expect("bash runs");
        let printed = String::from_utf8(run.stdout).expect("UTF-8");
        assert!(
            run.status.success(),
            "{page}: {command}\n{}",
            String::from_utf8_lossy(&run.stderr)
        );
        if let Some((_, behind)) = printed.split_once("\"token\":\"") {
            token = behind.split('"').next().map(str::to_owned);
        }
        for line in reply {
            let parts = parts(line);
            assert!(
                printed.lines().any(|printed| has_parts(printed, &parts)),
                "{page}: {command}\nprints\n{printed}\nand the page shows\n{line}"
            );
        }
        if printed.is_empty() {
            settings = script;
        }
    }
    steps.len()
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    assert_eq!(run("README.md"), 3);
}

#[test]
fn the_commands_of_the_page_of_the_api_print_what_it_shows() {
    assert_eq!(run("docs/api.md"), 8);
}

#[test]
fn the_commands_of_the_page_of_connections_print_what_it_shows() {
    assert_eq!(run("docs/connections.md"), 6);
}

#[test]
fn the_reader_of_transcripts_finds_commands_and_compares_replies() {
    let page = "text\n```\nother code\n```\n```\n$ one \\\n  two\n{\"a\":1795262898873,…}\n\n$ three\n```\n$ no code\n";
    let found = steps(page);
    let commands: Vec<&str> = found.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(commands, ["one \\\n  two", "three"]);
    let parts = parts(&found[0].reply[0]);
    assert!(has_parts("{\"a\":1800000000000,\"b\":2}", &parts));
    assert!(!has_parts("{\"b\":1800000000000}", &parts));
}
