//! The conformance of hosts in all languages: `cargo xtask conformance [LANGUAGE…]`
//!
//! Without a language, all are checked, and `docs/languages.md` gets the table.

#![expect(clippy::print_stdout, reason = "a command for the terminal")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use tessera::Component;
use tessera_tests::conformance::{
    Cell, Column, Kind, LANGUAGES, Language, MANNERS, Matrix, Servers, cancellations, interleavings,
    language, scenarios, scenarios_over, suite,
};

/// The number of steps of the interleavings, and the default seed.
const STEPS: u64 = 50_000;
const SEED: u64 = 20_261_201;

/// The lines between which the table stands.
const BEGIN: &str = "<!-- the table of `cargo xtask conformance` -->";
const END: &str = "<!-- end of the table -->";

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&Language> = match &names[..] {
        [] => LANGUAGES.iter().collect(),
        names => names
            .iter()
            .map(|name| language(name))
            .collect::<Result<_, _>>()?,
    };
    let servers = Servers::default();
    let seed = std::env::var("TESSERA_SEED").map_or(Ok(SEED), |text| text.parse())?;
    let mut matrix = Matrix::default();
    for language in chosen {
        matrix.columns.push(column(language, &servers, seed)?);
    }
    println!("\n{matrix}");
    let failures: Vec<String> = matrix.failures().collect();
    for failure in &failures {
        println!("{failure}");
    }
    // A part of the scenarios is no result for the page.
    if names.is_empty() && std::env::var_os("TESSERA_SCENARIO").is_none() {
        write(&matrix)?;
    }
    Ok(if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn column(language: &Language, servers: &Servers, seed: u64) -> Result<Column, String> {
    let hello = language.start()?.hello().clone();
    let mut cells = Vec::new();
    let mut check = |what: String, run: &dyn Fn() -> Result<Option<Cell>, String>| {
        let began = Instant::now();
        let cell = run().unwrap_or_else(|error| Some(Cell::failed(error)));
        let shown = cell
            .as_ref()
            .map_or_else(|| "not offered".to_owned(), Cell::to_string);
        let seconds = began.elapsed().as_secs_f32();
        println!("{}, {what}: {shown}; {seconds:.1} s", language.name);
        cells.push((what, cell));
    };
    for (name, manner) in MANNERS {
        check(format!("scenarios, {name}"), &|| scenarios(language, manner));
    }
    for kind in Kind::ALL {
        let over = || scenarios_over(language, servers, kind);
        check(format!("scenarios over {}", kind.name()), &over);
    }
    for kind in Kind::ALL {
        let suite = || suite(language, servers, kind);
        check(format!("store suite, {}", kind.name()), &suite);
    }
    check("cancellations".to_owned(), &|| cancellations(language).map(Some));
    check("interleavings".to_owned(), &|| {
        let (cell, report) = interleavings(language, STEPS, seed)?;
        println!("{}, seed {seed}: {report}", language.name);
        Ok(Some(cell))
    });
    Ok(Column {
        name: format!("{}, {}", hello.language, hello.runtime),
        cells,
    })
}

/// Replaces the table of the page.
fn write(matrix: &Matrix) -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/languages.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page
        .split_once(BEGIN)
        .ok_or("the page has no place for the table")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("the page has no place for the table")?;
    // Adapters with another one do not start.
    let component = Component::sha256();
    let table = format!("{BEGIN}\n\nComponent: SHA-256 `{component}`.\n\n{matrix}\n{END}");
    Ok(std::fs::write(path, format!("{before}{table}{after}"))?)
}
