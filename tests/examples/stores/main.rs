//! Measures opens and saves over every store, in comparison with bare reads and writes on its server, and with
//! `tower-sessions` over its own stores. `cargo xtask bench-stores [NAME…]`

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a command for the terminal, which stops where a store fails"
)]

mod aims;
mod floor;
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use floor::Floor;
use measure::{Measured, measure};
use tessera::store::{Durability, SqliteStore, StoreUrl};
use tessera::{Session, Sessions};
use tessera_tests::servers::{MariaDb, Postgres, RedisServer, Server as _};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const TEXT: &str = "some text of usual length";
/// The number of sessions in every store.
pub(crate) const ROWS: usize = 2_000;
pub(crate) const FLOOR: &str = "its floor: bare reads and writes";
pub(crate) const PEER: &str = "`tower-sessions`";
const AT_ONCE: [usize; 3] = [1, 64, 1024];
/// Each figure is the median of this number of runs, which alternate with the compared ones.
const RUNS: usize = 3;
const LENGTH: Duration = Duration::from_millis(1_000);

/// 1024 concurrent callers wait longer for one of few connections than a service would allow. The floor has as many
/// connections.
const DATABASE: &str = "max_connections=10&acquire_timeout_ms=30000&statement_timeout_ms=30000";

struct Subject {
    name: &'static str,
    sessions: Sessions,
    floor: Option<Floor>,
    /// The kind and the address of the store of `tower-sessions`.
    peer: Option<(&'static str, String)>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let peer = std::env::args().nth(1).map(PathBuf::from);
    let peer = peer.ok_or("the path of the peer's program is missing: use `cargo xtask bench-stores`")?;
    let folder = tempfile::tempdir()?;
    let (redis, postgres, mariadb) = (RedisServer::start(&[]), Postgres::start(), MariaDb::start());
    let named: Vec<String> = std::env::args().skip(2).collect();
    let has = |name: &str, part: &str| name.to_lowercase().contains(&part.to_lowercase());
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|part| has(name, part));
    let subjects = subjects(folder.path(), &redis.url(), &postgres.url(), &mariadb.url()).await?;
    let is_known = |part: &String| subjects.iter().any(|subject| has(subject.name, part));
    if let Some(unknown) = named.iter().find(|part| !is_known(part)) {
        let known: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
        return Err(format!("unknown store {unknown}; known are {}", known.join("; ")).into());
    }
    println!(
        "Latency in microseconds (half of the calls, 99 of 100), calls per second; medians of {RUNS} runs\n"
    );
    println!("| store | at once | open | | | save | | |\n|---|---|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for subject in subjects.iter().filter(|subject| is_wanted(subject.name)) {
        let tokens = fill(&subject.sessions).await?;
        for at_once in AT_ONCE {
            let rows = rows(subject, &tokens, at_once, &peer).await?;
            for (name, [open, save]) in &rows {
                println!("| {name} | {at_once} | {} | {} |", cells(open), cells(save));
            }
            all.push(aims::Compared {
                subject: subject.name,
                at_once,
                rows,
            });
        }
    }
    aims::print(&all);
    in_flight(&redis).await
}

fn cells(measured: &Measured) -> String {
    let Measured {
        per_second,
        median,
        p99,
    } = measured;
    format!("{median:.0} | {p99:.0} | {per_second:.0}")
}

async fn subjects(
    folder: &Path,
    redis: &str,
    postgres: &str,
    mariadb: &str,
) -> Result<Vec<Subject>, Failure> {
    let at = |url: String| async move { sessions(url.parse::<StoreUrl>()?.open().await?) };
    let sqlite = |name: &str, durability| -> Result<Sessions, Failure> {
        let builder = SqliteStore::builder().durability(durability);
        sessions(builder.open(folder.join(name))?)
    };
    let beside = folder.join("peer.db").display().to_string();
    Ok(vec![
        Subject {
            name: "memory",
            sessions: at("memory:".into()).await?,
            floor: None,
            peer: None,
        },
        Subject {
            name: "SQLite, outlives a killed process",
            sessions: sqlite("crash.db", Durability::ProcessCrash)?,
            floor: Some(Floor::sqlite(&folder.join("floor.db"))?),
            peer: Some(("sqlite", beside)),
        },
        Subject {
            name: "SQLite, outlives the loss of power",
            sessions: sqlite("power.db", Durability::PowerLoss)?,
            floor: None,
            peer: None,
        },
        Subject {
            name: "Redis",
            sessions: at(redis.to_owned()).await?,
            floor: Some(Floor::redis(redis).await?),
            peer: Some(("redis", redis.to_owned())),
        },
        Subject {
            name: "Redis, cached",
            sessions: at(format!("cached+{redis}?prefix=cached:")).await?,
            floor: None,
            peer: None,
        },
        Subject {
            name: "PostgreSQL",
            sessions: at(format!("{postgres}?{DATABASE}")).await?,
            floor: Some(Floor::postgres(postgres).await?),
            peer: None,
        },
        Subject {
            name: "MariaDB",
            sessions: at(format!("{mariadb}?{DATABASE}")).await?,
            floor: Some(Floor::mariadb(mariadb).await?),
            peer: None,
        },
    ])
}

/// Creates sessions with two instances of the component.
fn sessions(store: impl tessera::store::StoreService) -> Result<Sessions, Failure> {
    let builder = Sessions::builder().signing_key("bench", [7; 32]).instances(2);
    Ok(builder.build(store)?)
}

async fn fill(sessions: &Sessions) -> Result<Arc<Vec<String>>, Failure> {
    let mut tokens = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        let session = sessions.create();
        for field in 0..8 {
            session.set(&format!("field{field}"), TEXT)?;
        }
        session.set("role", TEXT)?;
        tokens.push(session.save().await?.token.ok_or("a new session has no token")?);
    }
    Ok(Arc::new(tokens))
}

/// A name, with the measurements of an open and of a save.
pub(crate) type Row = (&'static str, [Measured; 2]);

async fn rows(
    subject: &Subject,
    tokens: &Arc<Vec<String>>,
    at_once: usize,
    peer: &Path,
) -> Result<Vec<Row>, Failure> {
    let (mut ours, mut floors, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push([
            open(&subject.sessions, tokens, at_once).await,
            save(&subject.sessions, tokens, at_once).await?,
        ]);
        if let Some(floor) = &subject.floor {
            floors.push([
                floor.read(at_once, LENGTH).await,
                floor.write(at_once, LENGTH).await,
            ]);
        }
        if let Some((kind, place)) = &subject.peer {
            peers.push(beside(peer, kind, place, at_once)?);
        }
    }
    let all = [(subject.name, ours), (FLOOR, floors), (PEER, peers)];
    Ok(all
        .into_iter()
        .filter(|(_, runs)| !runs.is_empty())
        .map(|(name, runs)| (name, [0, 1].map(|what| median(&runs, what))))
        .collect())
}

fn median(runs: &[[Measured; 2]], what: usize) -> Measured {
    let of = |part: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(|run| part(&run[what])).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Measured {
        per_second: of(|run| run.per_second),
        median: of(|run| run.median),
        p99: of(|run| run.p99),
    }
}

async fn open(sessions: &Sessions, tokens: &Arc<Vec<String>>, at_once: usize) -> Measured {
    let (sessions, tokens) = (sessions.clone(), Arc::clone(tokens));
    measure(at_once, LENGTH, move |number, call| {
        let (sessions, tokens) = (sessions.clone(), Arc::clone(&tokens));
        async move {
            let session = sessions.open(&tokens[(number + call * 7_919) % ROWS]).await;
            let role: Option<String> = session.expect("it opens").get("role").expect("a text");
            assert_eq!(role.as_deref(), Some(TEXT));
        }
    })
    .await
}

/// Measures saves. Each caller saves a session of its own, which stays open.
async fn save(sessions: &Sessions, tokens: &[String], at_once: usize) -> Result<Measured, Failure> {
    let mut open: Vec<Session> = Vec::with_capacity(at_once);
    for token in tokens.iter().take(at_once) {
        open.push(sessions.open(token).await?);
    }
    let open = Arc::new(open);
    let measured = measure(at_once, LENGTH, move |number, call| {
        let open = Arc::clone(&open);
        async move {
            open[number].set("visits", &call).expect("it is set");
            open[number].save().await.expect("it is saved");
        }
    });
    Ok(measured.await)
}

fn beside(peer: &Path, kind: &str, place: &str, at_once: usize) -> Result<[Measured; 2], Failure> {
    let output = Command::new(peer)
        .args([kind, place, &at_once.to_string(), &LENGTH.as_millis().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = |name: &str| -> Result<Measured, Failure> {
        let numbers = text.lines().find_map(|line| line.strip_prefix(name));
        let numbers = numbers.ok_or_else(|| format!("{}: no line for{name}", peer.display()))?;
        let numbers: Result<Vec<f64>, _> = numbers.split_whitespace().map(str::parse).collect();
        match numbers?[..] {
            [per_second, median, p99] => Ok(Measured {
                per_second,
                median,
                p99,
            }),
            _ => Err("the peer's line does not have three numbers".into()),
        }
    };
    Ok([line("open ")?, line("save ")?])
}

/// Measures the memory of a waiting request: Redis is paused while 256 and then 2048 requests wait.
async fn in_flight(redis: &RedisServer) -> Result<(), Failure> {
    const WAITING: usize = 2048;
    let sessions = sessions(redis.url().parse::<StoreUrl>()?.open().await?)?;
    let tokens = fill(&sessions).await?;
    let wait = async |requests: usize| -> Result<f64, Failure> {
        let _: String = redis.ask(&["CLIENT", "PAUSE", "700", "ALL"])?;
        let opens: Vec<_> = (0..requests)
            .map(|number| {
                let (sessions, tokens) = (sessions.clone(), Arc::clone(&tokens));
                tokio::spawn(async move { sessions.open(&tokens[number % ROWS]).await.map(drop) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(400)).await;
        let resident = resident_bytes()?;
        for open in opens {
            open.await??;
        }
        Ok(resident)
    };
    // A warm-up, so that memory which is kept for reuse is allocated.
    wait(256).await?;
    let few = wait(256).await?;
    let many = wait(WAITING).await?;
    let each = (many - few) / (WAITING - 256) as f64;
    println!("\nwith two instances of the component, a request that waits for Redis takes {each:.0} bytes");
    Ok(())
}

fn resident_bytes() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("only Linux reports VmRSS")?;
    Ok(kilobytes.parse::<f64>()? * 1024.0)
}
