//! Measures many sessions in a SQLite file: logins, opens, saves and the size of the file. `cargo xtask load [NUMBER]`

use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

use tessera::Sessions;
use tessera::store::{Durability, SqliteStore};

/// The default number of sessions.
const SESSIONS: usize = 100_000;
/// The allowed numbers of sessions.
const BOUNDS: RangeInclusive<usize> = 1_000..=10_000_000;
const SAMPLES: usize = 10_000;
const AT_ONCE: usize = 64;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn open(path: &Path, durability: Durability) -> Result<(SqliteStore, Sessions), Failure> {
    let store = SqliteStore::builder().durability(durability).open(path)?;
    let sessions = Sessions::builder()
        .signing_key("load", [7; 32])
        .build(store.clone())?;
    Ok((store, sessions))
}

async fn make(sessions: Sessions, subject: String) -> Result<String, Failure> {
    let session = sessions.create();
    for field in 0..8 {
        session.set(&format!("field{field}"), "some text of usual length")?;
    }
    session.set("role", "admin")?;
    session
        .authenticate(&subject)
        .await?
        .token
        .ok_or_else(|| "a login issued no token".into())
}

/// Makes calls one after another and measures each. Returns the durations in order of length.
async fn measure<F: Future<Output = Result<(), Failure>>>(
    tokens: &[String],
    call: impl Fn(String) -> F,
) -> Result<Vec<Duration>, Failure> {
    let mut taken = Vec::with_capacity(SAMPLES);
    for sample in 0..SAMPLES {
        // A step that is coprime to the number of sessions visits them in a scattered order.
        let token = tokens[sample * 7_919 % tokens.len()].clone();
        let began = Instant::now();
        call(token).await?;
        taken.push(began.elapsed());
    }
    taken.sort_unstable();
    Ok(taken)
}

fn row(out: &mut impl io::Write, what: &str, taken: &[Duration]) -> io::Result<()> {
    let micros = |part: usize| taken[taken.len() * part / 100].as_secs_f64() * 1e6;
    writeln!(out, "| {what} | {:.0} µs | {:.0} µs |", micros(50), micros(99))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let count = match std::env::args().nth(1) {
        None => SESSIONS,
        Some(number) => {
            let count = number.parse().ok().filter(|count| BOUNDS.contains(count));
            count.ok_or_else(|| {
                format!(
                    "the number of sessions must be {} to {}, not {number:?}",
                    BOUNDS.start(),
                    BOUNDS.end()
                )
            })?
        }
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("sessions.db");
    let mut out = io::stdout().lock();

    let (store, sessions) = open(&path, Durability::ProcessCrash)?;
    let began = Instant::now();
    let mut tokens = Vec::with_capacity(count);
    while tokens.len() < count {
        let batch: Vec<_> = (0..AT_ONCE.min(count - tokens.len()))
            .map(|at| tokio::spawn(make(sessions.clone(), format!("user{}", (tokens.len() + at) / 3))))
            .collect();
        for made in batch {
            tokens.push(made.await??);
        }
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    drop(sessions);
    store.close()?;
    let bytes = std::fs::metadata(&path)?.len();
    writeln!(
        out,
        "{count} sessions of 9 fields, {AT_ONCE} logins at once: {rate:.0} logins/s"
    )?;
    writeln!(
        out,
        "file: {:.1} MB, {} bytes a session\n",
        bytes as f64 / 1e6,
        bytes / count as u64
    )?;

    writeln!(out, "| | median | 99th of 100 |\n|---|---|---|")?;
    for (name, durability) in [
        ("process crash", Durability::ProcessCrash),
        ("power loss", Durability::PowerLoss),
    ] {
        let began = Instant::now();
        let (store, sessions) = open(&path, durability)?;
        let started = began.elapsed();
        let opened = measure(&tokens, |token| {
            let sessions = sessions.clone();
            async move {
                let session = sessions.open(&token).await?;
                session.get_value("role")?;
                Ok(())
            }
        });
        let opened = opened.await?;
        let saved = measure(&tokens, |token| {
            let sessions = sessions.clone();
            async move {
                let session = sessions.open(&token).await?;
                session.set("role", "editor")?;
                session.save().await?;
                Ok(())
            }
        });
        let saved = saved.await?;
        row(&mut out, &format!("start on that file ({name})"), &[started])?;
        row(&mut out, &format!("open + get ({name})"), &opened)?;
        row(&mut out, &format!("open + set + save ({name})"), &saved)?;
        drop(sessions);
        store.close()?;
    }
    Ok(())
}
