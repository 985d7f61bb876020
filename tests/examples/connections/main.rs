//! Measures connections over Redis, in the library and through the service, beside Socket.IO with its Redis streams adapter.
//! `cargo xtask bench-connections`

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a command for the terminal, which stops where a part fails"
)]

mod aims;
mod delivery;
mod ends;
mod idle;
mod load;
mod measure;
mod nodes;
mod pair;
mod process;
mod watched;

use std::time::Duration;

use aims::{Row, at_least, at_most, noted, within};
use load::Load;
use measure::Latency;
use nodes::Nodes;
use pair::Pair;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The text of a message, beside its number and moment.
pub(crate) const TEXT: &str =
    "some text of usual length, as a notification of an application to its user has it";
/// The connections of one node.
pub(crate) const CONNECTIONS: usize = 10_000;
/// The clients of one process, when messages pass through two of them.
const CLIENTS: usize = 1_000;
const LENGTH: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(3);
/// The times that Redis closes all connections during a load.
const CUTS: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Failure> {
    // Two ends of each connection, one of them in a process of its own.
    rlimit::increase_nofile_limit(2 * CONNECTIONS as u64)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut rows = runtime.block_on(library())?;
    // Ends the clients as well.
    runtime.shutdown_timeout(SECOND);
    rows.push(idle::row()?);
    aims::print(&rows);
    println!("\n{CLIENTS} clients at one process, 500 messages a second at the other\n");
    println!(
        "| | median | 99th of 100 | maximum | processor time a message: the two processes | Redis | memory of the process with clients |\n\
         |---|---|---|---|---|---|---|"
    );
    let pairs = [Pair::tessera(CLIENTS)?, Pair::socketio(CLIENTS)?];
    let load = Load {
        per_second: 500,
        length: LENGTH,
        cuts: 0,
    };
    for pair in &pairs {
        let _ = Load {
            length: WARM_UP,
            ..load
        }
        .on(pair)?;
        let outcome = load.on(pair)?;
        println!("| {} | {outcome} |", pair.name);
    }
    println!("\nThe same, while Redis closes all connections {CUTS} times\n");
    println!("| | sent | acknowledged | of these lost | arrived twice |\n|---|---|---|---|---|");
    for pair in &pairs {
        let outcome = Load { cuts: CUTS, ..load }.on(pair)?;
        println!("| {} | {} |", pair.name, outcome.ledger());
    }
    Ok(())
}

/// Two nodes of the library in this process.
async fn library() -> Result<Vec<Row>, Failure> {
    let mut nodes = Nodes::start().await?;
    let memory = nodes.fill().await?;
    let delivery = delivery::latency(&nodes, 1_000, LENGTH).await?;
    let appends = delivery::appends(&nodes, 64, LENGTH / 2).await?;
    let unread = delivery::appends_unread(&nodes, 64, LENGTH / 2).await?;
    let again = delivery::read_again(&nodes).await?;
    let by_a_node = ends::by_a_node(&nodes).await?;
    let by_another = ends::by_another_program(&nodes).await?;
    let mut rows = vec![
        within("delivery, half of the messages", delivery.median, SECOND / 1000),
        within("delivery, 99 of 100", delivery.p99, SECOND / 100),
        noted("delivery, maximum", measure::millis(delivery.greatest)),
        at_least("appends a second, 64 at once", appends, 20_000.0),
        noted("the same without clients", format!("{unread:.0}")),
        at_most("Redis, for each idle connection", memory / 1e3, 2.5, "KB"),
        within("all clients have read again after a cut", again.time, SECOND),
        noted("reads of all clients after a cut", format!("{:.0}", again.reads)),
    ];
    rows.extend(closed("by a node", by_a_node));
    rows.extend(closed("by another program", by_another));
    Ok(rows)
}

/// The rows of the time from a revocation to the end of the stream.
fn closed(by: &str, time: Latency) -> [Row; 3] {
    let what = |part: &str| format!("revoked {by} → closed, {part}");
    [
        noted(&what("half of the connections"), measure::millis(time.median)),
        within(&what("99 of 100"), time.p99, SECOND),
        within(&what("maximum"), time.greatest, 7 * SECOND),
    ]
}
