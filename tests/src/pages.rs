//! The Markdown pages of the project.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::fs;
use std::path::PathBuf;

use crate::program::root;

/// Returns all pages: those at the top, in `docs`, and beside the scenarios.
///
/// # Panics
/// If a folder of pages is missing.
pub fn pages() -> Vec<PathBuf> {
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
