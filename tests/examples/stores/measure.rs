//! Measures concurrent calls.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The results of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Calls per second of all callers.
    pub(crate) per_second: f64,
    /// The median of the latency, in microseconds.
    pub(crate) median: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub(crate) p99: f64,
}

/// Runs `at_once` concurrent loops of calls for this time. A call receives the number of its loop and its own number.
pub(crate) async fn measure<F, C>(at_once: usize, length: Duration, call: F) -> Measured
where
    F: Fn(usize, usize) -> C + Send + Sync + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let call = Arc::new(call);
    let began = Instant::now();
    let loops: Vec<_> = (0..at_once)
        .map(|number| {
            let call = Arc::clone(&call);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while began.elapsed() < length {
                    let asked = Instant::now();
                    call(number, taken.len()).await;
                    taken.push(asked.elapsed());
                }
                taken
            })
        })
        .collect();
    let mut taken = Vec::new();
    for each in loops {
        taken.extend(each.await.unwrap_or_default());
    }
    let seconds = began.elapsed().as_secs_f64();
    taken.sort_unstable();
    let micros = |part: usize| {
        let place = (taken.len() * part / 100).min(taken.len().saturating_sub(1));
        taken
            .get(place)
            .map_or(f64::NAN, |taken| taken.as_secs_f64() * 1e6)
    };
    Measured {
        per_second: taken.len() as f64 / seconds,
        median: micros(50),
        p99: micros(99),
    }
}

/// The format in which the peer's program prints results.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.per_second, self.median, self.p99)
    }
}
