//! Sends at planned moments, and the quantiles of latencies.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The quantiles of all samples of a measurement.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) greatest: Duration,
}

impl Latency {
    /// Sorts all samples. Without samples, each quantile is zero.
    pub(crate) fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let part = |part: usize| {
            let place = (samples.len() * part / 100).min(samples.len().saturating_sub(1));
            samples.get(place).copied().unwrap_or_default()
        };
        Self {
            median: part(50),
            p99: part(99),
            greatest: part(100),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p99, greatest] = [self.median, self.p99, self.greatest].map(millis);
        write!(f, "{median} | {p99} | {greatest}")
    }
}

/// A time as text, with three digits.
pub(crate) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis {
        ..9.995 => format!("{millis:.2} ms"),
        ..99.95 => format!("{millis:.1} ms"),
        _ => format!("{millis:.0} ms"),
    }
}

/// Sends at equal intervals, planned from the start on: a late one delays no later one.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) began: Instant,
    pub(crate) per_second: u32,
    pub(crate) length: Duration,
}

impl Plan {
    /// Starts now.
    pub(crate) fn of(per_second: u32, length: Duration) -> Self {
        Self {
            began: Instant::now(),
            per_second,
            length,
        }
    }

    /// The number of sends.
    pub(crate) fn sends(&self) -> usize {
        (f64::from(self.per_second) * self.length.as_secs_f64()) as usize
    }

    /// Calls `send` for every `of`th send from `first` on, with its number and planned moment, then or when the call before returns.
    pub(crate) fn keep(&self, first: usize, of: usize, mut send: impl FnMut(usize, Duration)) {
        for number in (first..self.sends()).step_by(of) {
            let planned = Duration::from_secs_f64(number as f64 / f64::from(self.per_second));
            // On a thread, because tokio's timers have a resolution of a millisecond.
            sleep(planned.saturating_sub(self.began.elapsed()));
            send(number, planned);
        }
    }
}

/// Random numbers below a bound (xorshift).
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence of its own for each number.
    pub(crate) fn new(number: usize) -> Self {
        Self((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
