//! Reads the SQL files in `stores/layout/sql`, which hosts in other languages run as well.
//!
//! A file consists of sections. A section begins with a line `-- name: NAME`; comments follow, then SQL to its end.
//! The header of each file defines the whole form.

const MARK: &str = "-- name: ";
const COMMENT: &str = "--";

/// The SQL of a section, without its comments and its last semicolon.
///
/// Invariant: it is evaluated at compile time (`const { … }`), so that a missing, duplicate or empty section is a compile error
/// and never a panic at run time.
pub(super) const fn section(file: &'static str, name: &str) -> &'static str {
    match find(file, name) {
        Some(sql) => sql,
        None => panic!("a section has to be in the file once, with SQL"),
    }
}

/// The SQL of a section; `None` if the section is missing, duplicate or empty.
const fn find<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let (mut rest, mut found) = (file, None);
    while !rest.is_empty() {
        let (line, behind) = first_line(rest);
        rest = behind;
        if let Some(title) = after(line, MARK)
            && is_same(title, name)
        {
            let sql = sql(rest);
            if found.is_some() || sql.is_empty() {
                return None;
            }
            found = Some(sql);
        }
    }
    found
}

/// The SQL at the start of `text`: from behind the comments to the next section.
const fn sql(text: &str) -> &str {
    let mut text = text;
    loop {
        let (line, behind) = first_line(text);
        if after(line, COMMENT).is_none() || after(line, MARK).is_some() {
            break;
        }
        text = behind;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let (line, behind) = first_line(rest);
        if after(line, MARK).is_some() {
            break;
        }
        rest = behind;
    }
    let sql = text.split_at(text.len() - rest.len()).0.trim_ascii();
    match sql.as_bytes() {
        [.., b';'] => sql.split_at(sql.len() - 1).0.trim_ascii(),
        _ => sql,
    }
}

/// The first line without its newline, and the remaining lines.
const fn first_line(text: &str) -> (&str, &str) {
    let (bytes, mut end) = (text.as_bytes(), 0);
    while end < bytes.len() && bytes[end] != b'\n' {
        end += 1;
    }
    let (line, rest) = text.split_at(end);
    if rest.is_empty() {
        (line, rest)
    } else {
        (line, rest.split_at(1).1)
    }
}

/// The rest of a line after `start`; `None` if the line does not begin with it.
const fn after<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    let (bytes, start) = (line.as_bytes(), start.as_bytes());
    if bytes.len() < start.len() {
        return None;
    }
    let mut place = 0;
    while place < start.len() {
        if bytes[place] != start[place] {
            return None;
        }
        place += 1;
    }
    Some(line.split_at(place).1)
}

const fn is_same(text: &str, other: &str) -> bool {
    match after(text, other) {
        Some(rest) => rest.is_empty(),
        None => false,
    }
}

/// Reads whole files, for the stores' tests.
#[cfg(test)]
pub(super) mod testing {
    use super::{MARK, find};

    /// The names of all sections, in their order.
    pub(crate) fn names(file: &str) -> Vec<&str> {
        file.lines().filter_map(|line| line.strip_prefix(MARK)).collect()
    }

    /// For each section its name, its SQL and the number of parameters that its comment lists.
    ///
    /// Panics unless each section occurs once, and has SQL without comments.
    pub(crate) fn sections(file: &str) -> Vec<(&str, &str, usize)> {
        let mut sections = Vec::new();
        for name in names(file) {
            let sql = find(file, name).unwrap_or_else(|| panic!("{name} is double or empty"));
            assert!(!sql.contains("--"), "{name}: a comment stands in the SQL");
            let section = format!("{MARK}{name}\n");
            let (_, behind) = file.split_once(&section).expect("it was found");
            let first = behind.lines().next().unwrap_or_default();
            let params = first.strip_prefix("-- params: ").map(|list| list.split(", "));
            sections.push((name, sql, params.map_or(0, Iterator::count)));
        }
        sections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_by_its_whole_name_without_comments_and_semicolon() {
        let file = "-- a header\n\n-- name: get\n-- params: key\n-- more; of it\nSELECT 1\nFROM t;\n\n-- name: get_many\nA;\nB;\n\
                    -- name: bare\nC";
        assert_eq!(find(file, "get"), Some("SELECT 1\nFROM t"));
        assert_eq!(find(file, "get_many"), Some("A;\nB"));
        assert_eq!(find(file, "bare"), Some("C"));
        assert_eq!(testing::names(file), ["get", "get_many", "bare"]);
    }

    #[test]
    fn a_section_that_is_missing_double_or_empty_is_none() {
        let file =
            "-- name: double\nA;\n-- name: empty\n-- a comment\n\n-- name: double\nB;\n-- name: last\n";
        for name in ["double", "empty", "last", "missing", "doubl", ""] {
            assert_eq!(find(file, name), None, "{name}");
        }
        assert_eq!(find("", "any"), None);
    }
}
