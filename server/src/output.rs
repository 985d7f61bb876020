//! Output to the terminal. A closed pipe is an error like any other, and never a panic.

use std::io::{self, Write as _};

use crate::failure::Failure;

/// Writes to standard output.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    say_bytes(text.as_bytes())
}

/// Writes bytes to standard output.
pub(crate) fn say_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(Failure::during("cannot write to standard output"))
}

/// Writes a line to standard error. A failure is ignored, because it could not be reported.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Formats rows as columns. The first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Formats JSON over several lines, with two spaces for each level. Names and values keep their notation.
pub(crate) fn indented(json: &str) -> String {
    let (mut text, mut level, mut in_string, mut is_escaped) =
        (String::with_capacity(json.len()), 0_usize, false, false);
    let mut characters = json.chars().peekable();
    let line = |text: &mut String, level: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", level));
    };
    while let Some(character) = characters.next() {
        if in_string {
            // Escaped, because a terminal would execute it.
            if character.is_control() {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
                continue;
            }
            text.push(character);
            in_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                text.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(close);
                } else {
                    level += 1;
                    line(&mut text, level);
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                line(&mut text, level);
                text.push(character);
            }
            ',' => {
                text.push(character);
                line(&mut text, level);
            }
            ':' => text.push_str(": "),
            _ => {
                in_string = character == '"';
                text.push(character);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_as_serde_json_does_and_keeps_its_numbers() {
        for text in [
            r#"{"a":{},"b":[],"c":[1,{"d":"x,y:{\"[\\"}],"e":null}"#,
            r#"[[],[[]],"\\",true]"#,
            "1",
        ] {
            let read: serde_json::Value = serde_json::from_str(text).expect(text);
            assert_eq!(indented(text), serde_json::to_string_pretty(&read).expect("JSON"));
        }
        assert_eq!(indented("[1e400 , { } ]"), "[\n  1e400,\n  {}\n]");
        assert_eq!(indented("[\"\u{9b}2J\u{7f}\"]"), "[\n  \"\\u009b2J\\u007f\"\n]");
    }
}
