//! The results of all languages, as a table.

use std::fmt;

/// The number of checks that passed, of all that apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Passed checks.
    pub passed: usize,
    /// Checks that apply.
    pub all: usize,
    /// A description of each failure.
    pub failures: Vec<String>,
}

impl Cell {
    /// Counts the failures of this number of checks.
    #[must_use]
    pub fn of(all: usize, failures: Vec<String>) -> Self {
        Self {
            passed: all.saturating_sub(failures.len()),
            all,
            failures,
        }
    }

    /// The cell of a check that could not be made.
    #[must_use]
    pub fn failed(reason: String) -> Self {
        Self::of(1, vec![reason])
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures.is_empty() {
            write!(f, "{}", self.passed)
        } else {
            write!(f, "{} of {}", self.passed, self.all)
        }
    }
}

/// The results of one language.
#[derive(Clone, Debug)]
pub struct Column {
    /// The language and its runtime.
    pub name: String,
    /// The cells, with the names of the checks. `None` if the host does not offer what a check needs.
    pub cells: Vec<(String, Option<Cell>)>,
}

/// The table. All columns have the same checks.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// The languages.
    pub columns: Vec<Column>,
}

impl Matrix {
    /// All failures, with their language and check.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.columns.iter().flat_map(|column| {
            let failures = |(check, cell): &(String, Option<Cell>)| {
                let shown = cell.iter().flat_map(|cell| &cell.failures);
                let shown = shown.map(|failure| format!("{}, {check}: {failure}", column.name));
                shown.collect::<Vec<_>>()
            };
            column.cells.iter().flat_map(failures)
        })
    }
}

/// Markdown.
impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.columns.iter().map(|column| column.name.as_str());
        writeln!(f, "| | {} |", names.collect::<Vec<_>>().join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(self.columns.len()))?;
        let checks = self.columns.first().into_iter().flat_map(|column| &column.cells);
        for (place, (check, _)) in checks.enumerate() {
            let cells = self.columns.iter().map(|column| {
                let cell = column.cells.get(place).and_then(|(_, cell)| cell.as_ref());
                cell.map_or_else(|| "–".to_owned(), Cell::to_string)
            });
            writeln!(f, "| {check} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        Ok(())
    }
}
