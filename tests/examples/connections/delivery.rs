//! Messages from one node to another: their latency, appends a second, and reads after a cut.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tessera::connections::Name;
use tessera_tests::servers::RedisServer;
use tokio::task::JoinSet;

use super::measure::{Latency, Plan, Random};
use super::nodes::{Node, Nodes, info, message};
use super::{CONNECTIONS, Failure};

const WARM_UP: Duration = Duration::from_secs(2);
/// The connections that nobody reads. The mailboxes have room for the messages of a run.
const UNREAD: usize = 1_000;
const CUTS: usize = 5;
/// The time for which reads after a cut are counted: longer than a beat.
const AFTER_CUT: Duration = Duration::from_secs(7);
/// A pass of reads is complete when there are no more for this time.
const QUIET: Duration = Duration::from_millis(50);
/// The scripts that are no reads of clients: those of the beats of two nodes.
const BEATS: f64 = 20.0;

/// Sends `per_second` messages at the second node to random connections.
pub(crate) async fn latency(nodes: &Nodes, per_second: u32, length: Duration) -> Result<Latency, Failure> {
    send(nodes, per_second, WARM_UP).await?;
    Ok(Latency::of(send(nodes, per_second, length).await?))
}

async fn send(nodes: &Nodes, per_second: u32, length: Duration) -> Result<Vec<Duration>, Failure> {
    let (node, names) = (nodes.second.clone(), Arc::clone(&nodes.names));
    let (runtime, origin) = (tokio::runtime::Handle::current(), nodes.began);
    let plan = Plan::of(per_second, length);
    let sending = tokio::task::spawn_blocking(move || {
        let mut random = Random::new(per_second as usize);
        let before = plan.began - origin;
        plan.keep(0, 1, |_, planned| {
            let (node, name) = (node.clone(), names[random.below(names.len())].clone());
            runtime.spawn(async move {
                let message = message(before + planned).expect("a message");
                node.send(&name, &message, None).await.expect("it is sent");
            });
        });
    });
    sending.await?;
    nodes.await_messages(plan.sends()).await
}

/// Sends to the connections with `at_once` senders, each of which awaits the acknowledgement, and returns the messages a second.
pub(crate) async fn appends(nodes: &Nodes, at_once: usize, length: Duration) -> Result<f64, Failure> {
    let (sent, per_second) = append(&nodes.second, &nodes.names, at_once, length).await;
    nodes.await_messages(sent).await?;
    Ok(per_second)
}

/// The same to connections whose clients have gone, so that no message is read.
pub(crate) async fn appends_unread(nodes: &Nodes, at_once: usize, length: Duration) -> Result<f64, Failure> {
    let names = Arc::new(nodes.register(UNREAD).await?);
    Ok(append(&nodes.second, &names, at_once, length).await.1)
}

async fn append(node: &Node, names: &Arc<Vec<Name>>, at_once: usize, length: Duration) -> (usize, f64) {
    let mut senders = JoinSet::new();
    let began = Instant::now();
    for sender in 0..at_once {
        let (node, names) = (node.clone(), Arc::clone(names));
        senders.spawn(async move {
            let (mut random, mut sent) = (Random::new(sender), 0);
            while began.elapsed() < length {
                let name = &names[random.below(names.len())];
                let message = message(Duration::ZERO).expect("a message");
                node.send(name, &message, None).await.expect("it is sent");
                sent += 1;
            }
            sent
        });
    }
    let sent: usize = senders.join_all().await.into_iter().sum();
    (sent, sent as f64 / began.elapsed().as_secs_f64())
}

/// The reads after a cut of all connections.
pub(crate) struct Again {
    /// The longest time until each client has read.
    pub(crate) time: Duration,
    /// The most reads until the next beat, of all clients.
    pub(crate) reads: f64,
}

/// Cuts all connections of Redis.
pub(crate) async fn read_again(nodes: &Nodes) -> Result<Again, Failure> {
    let mut again = Again {
        time: Duration::ZERO,
        reads: 0.0,
    };
    for _ in 0..CUTS {
        let before = scripts(&nodes.redis)?;
        let began = Instant::now();
        let _: i64 = nodes.redis.ask(&["CLIENT", "KILL", "TYPE", "normal"])?;
        let mut counts = Vec::new();
        while began.elapsed() < AFTER_CUT {
            counts.push((began.elapsed(), scripts(&nodes.redis)? - before));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (time, reads) = pass(&counts).ok_or("some clients have not read again")?;
        again = Again {
            time: again.time.max(time),
            reads: again.reads.max(reads),
        };
    }
    Ok(again)
}

/// The end of the first pass over all connections, and the number of all reads. Reads that do not pause belong to one pass.
fn pass(counts: &[(Duration, f64)]) -> Option<(Duration, f64)> {
    let (_, reads) = counts.last()?;
    let (time, _) = counts.iter().enumerate().find_map(|(place, at)| {
        let later = counts[place..].iter().find(|later| later.0 >= at.0 + QUIET)?;
        (at.1 >= CONNECTIONS as f64 && later.1 <= at.1 + BEATS).then_some(at)
    })?;
    Some((*time, *reads))
}

/// The number of scripts that Redis has run.
fn scripts(redis: &RedisServer) -> Result<f64, Failure> {
    info(redis, "commandstats", "cmdstat_evalsha:calls=")
}
