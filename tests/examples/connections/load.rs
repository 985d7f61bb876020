//! Messages over HTTP to one process of a pair, for clients of the other.

use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tessera_tests::http_client::{Client, bearer, request};

use super::measure::{Latency, Plan, Random};
use super::pair::Pair;
use super::watched::Arrivals;
use super::{Failure, TEXT};

/// The connections of the sender, each of which is kept alive and has a thread.
const SENDERS: usize = 8;

/// Messages at equal intervals.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) per_second: u32,
    pub(crate) length: Duration,
    /// The times that Redis closes all connections, at equal intervals.
    pub(crate) cuts: u32,
}

/// The result of a load.
pub(crate) struct Outcome {
    sent: usize,
    acknowledged: Vec<usize>,
    arrivals: Arrivals,
    /// The processor time of a message in the two processes and in Redis, in microseconds.
    micros: [f64; 2],
    megabytes: f64,
}

impl Load {
    /// Sends the messages, and waits for their arrivals.
    pub(crate) fn on(self, pair: &Pair) -> Result<Outcome, Failure> {
        let before = pair.processor_times()?;
        let (plan, epoch) = (
            Plan::of(self.per_second, self.length),
            SystemTime::now().duration_since(UNIX_EPOCH)?,
        );
        let acknowledged = thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| scope.spawn(move || send(pair, plan, epoch, sender)))
                .collect();
            for cut in 1..=self.cuts {
                let at = self.length * cut / (self.cuts + 1);
                thread::sleep(at.saturating_sub(plan.began.elapsed()));
                let _: i64 = pair.redis.ask(&["CLIENT", "KILL", "TYPE", "normal"])?;
            }
            let sent = senders.into_iter().map(|sender| sender.join().expect("a sender"));
            Ok::<_, Failure>(sent.collect::<Vec<_>>().concat())
        })?;
        let arrivals = pair.clients.take(&acknowledged);
        let after = pair.processor_times()?;
        let micros = [0, 1].map(|what| (after[what] - before[what]) * 1e6 / plan.sends() as f64);
        Ok(Outcome {
            sent: plan.sends(),
            acknowledged,
            arrivals,
            micros,
            megabytes: pair.first.megabytes()?,
        })
    }
}

/// Sends the part of one connection; returns the numbers of the acknowledged messages.
fn send(pair: &Pair, plan: Plan, epoch: Duration, sender: usize) -> Vec<usize> {
    let (mut client, mut random) = (Client::new(&pair.second.address), Random::new(sender));
    let (authorization, mut acknowledged) = (bearer(&pair.key), Vec::new());
    plan.keep(sender, SENDERS, |number, planned| {
        let name = &pair.clients.names[random.below(pair.clients.names.len())];
        let data = format!("{number} {} {TEXT}", (epoch + planned).as_micros());
        let sent = request(
            "POST",
            &format!("/v1/connections/{name}/messages"),
            &[("Authorization", &authorization)],
            Some(&json!({ "data": data }).to_string()),
        );
        if client.try_send(&sent).is_ok_and(|answer| answer.status == 202) {
            acknowledged.push(number);
        }
    });
    acknowledged
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.arrivals.values().filter_map(|times| times.first().copied());
        let (latency, [processes, redis]) = (Latency::of(first.collect()), self.micros);
        let megabytes = self.megabytes;
        write!(
            f,
            "{latency} | {processes:.0} µs | {redis:.0} µs | {megabytes:.0} MB"
        )
    }
}

impl Outcome {
    /// The cells of sent, acknowledged, lost and repeated messages.
    pub(crate) fn ledger(&self) -> String {
        let is_lost = |number: &&usize| !self.arrivals.contains_key(number);
        let lost = self.acknowledged.iter().filter(is_lost).count();
        let twice = self.arrivals.values().filter(|times| times.len() > 1).count();
        let (sent, acknowledged) = (self.sent, self.acknowledged.len());
        format!("{sent} | {acknowledged} | {lost} | {twice}")
    }
}
