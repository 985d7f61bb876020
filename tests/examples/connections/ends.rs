//! The time from the end of a session to the end of its connection at another node.

use std::time::{Duration, Instant};

use super::Failure;
use super::measure::Latency;
use super::nodes::{Nodes, process};

const SESSIONS: usize = 200;
/// The pause between two revocations. All of them together last two beats, so that each part of a beat has its share.
const PAUSE: Duration = Duration::from_millis(50);

/// Ends sessions at the second node, which ends their connections.
pub(crate) async fn by_a_node(nodes: &Nodes) -> Result<Latency, Failure> {
    measure(nodes, "by-a-node", async |subject, public_id| {
        nodes.sessions.revoke(subject, public_id).await?;
        nodes.second.close_session(public_id).await?;
        Ok(())
    })
    .await
}

/// Ends sessions in another process, which knows of no connections.
pub(crate) async fn by_another_program(nodes: &Nodes) -> Result<Latency, Failure> {
    let (sessions, _) = process(&nodes.redis).await?;
    measure(nodes, "by-another-program", async |subject, public_id| {
        sessions.revoke(subject, public_id).await?;
        Ok(())
    })
    .await
}

async fn measure(
    nodes: &Nodes,
    kind: &str,
    revoke: impl AsyncFn(&str, &str) -> Result<(), Failure>,
) -> Result<Latency, Failure> {
    let mut opened = Vec::with_capacity(SESSIONS);
    for number in 0..SESSIONS {
        opened.push(nodes.open(&format!("{kind}-{number}"), 1).await?.0);
    }
    // Each session has been judged once.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut revoked = Vec::with_capacity(SESSIONS);
    for session in &opened {
        revoked.push(Instant::now());
        revoke(&session.subject, &session.public_id).await?;
        tokio::time::sleep(PAUSE).await;
    }
    let ends = nodes.await_ends(SESSIONS).await?;
    let times = opened.iter().zip(revoked).map(|(session, revoked)| {
        let end = ends
            .get(&session.public_id)
            .ok_or("another connection has ended")?;
        Ok(end.saturating_duration_since(revoked))
    });
    let times: Result<Vec<Duration>, Failure> = times.collect();
    Ok(Latency::of(times?))
}
