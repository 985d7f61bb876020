//! Calls side by side for a while, each measured.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Calls a second, of all.
    pub(crate) per_second: f64,
    /// Half of the calls took no longer, in microseconds.
    pub(crate) median: f64,
    /// 99 of 100 took no longer, in microseconds.
    pub(crate) p99: f64,
}

/// Runs so many loops of calls at once, for this long. A loop is given its number, and which of its calls it is.
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

/// As the peer's program prints it and the other reads it.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.per_second, self.median, self.p99)
    }
}
