//! Counts of events, shared by all threads.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::faults::Fault;
use super::ledger::{Counts, DEEDS, Deed};
use crate::servers::Gauge;

/// The maximum number of recorded errors.
const MOST_WRONGS: usize = 20;

/// The results of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The store's name.
    pub store: String,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The duration of the load.
    pub load: Duration,
    /// The number of clients' calls of all kinds.
    pub calls: u64,
    /// The numbers of acknowledged calls, by [`Deed`].
    pub acknowledged: Counts,
    /// The numbers of these whose effect was found at the end.
    pub found: Counts,
    /// The number of calls that failed without effect because the store was unavailable.
    pub refused: u64,
    /// The number of calls that failed without effect because of contention.
    pub contended: u64,
    /// The number of calls with an unknown result.
    pub unknown: u64,
    /// The number of faults, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// The maximum number of tries until an instance had recovered from a fault.
    pub most_tries: u32,
    /// The duration of the slowest call.
    pub slowest: Duration,
    /// The resource usage of each instance after the warm-up and at the end.
    pub gauges: Vec<[Gauge; 2]>,
    /// The violations. Empty if the run passed.
    pub wrong: Vec<String>,
    /// The present or last fault.
    pub(super) during: &'static str,
}

/// The report during a run.
#[derive(Default)]
pub(super) struct Tally(Mutex<Report>);

impl Tally {
    pub(super) fn wrong(&self, what: String) {
        let mut report = self.lock();
        if report.wrong.len() < MOST_WRONGS {
            let told = format!("{what} (fault: {})", report.during);
            report.wrong.push(told);
        }
    }

    pub(super) fn is_wrong(&self) -> bool {
        !self.lock().wrong.is_empty()
    }

    pub(super) fn acknowledge(&self, deed: Deed) {
        self.lock().acknowledged[deed as usize] += 1;
    }

    pub(super) fn find(&self, deeds: &Counts) {
        let found = &mut self.lock().found;
        found.iter_mut().zip(deeds).for_each(|(sum, more)| *sum += more);
    }

    pub(super) fn strike(&self, fault: Fault) {
        let mut report = self.lock();
        report.during = fault.name();
        *report.faults.entry(fault.name()).or_default() += 1;
    }

    pub(super) fn took(&self, time: Duration) {
        let mut report = self.lock();
        report.calls += 1;
        report.slowest = report.slowest.max(time);
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock());
    }

    pub(super) fn into_report(self) -> Report {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    /// The whole report in one line.
    pub fn line(&self) -> String {
        let deeds: Vec<String> = DEEDS
            .iter()
            .zip(self.acknowledged.iter().zip(self.found))
            .map(|(name, (acknowledged, found))| format!("{name} {acknowledged}/{found}"))
            .collect();
        let faults: Vec<String> = self
            .faults
            .iter()
            .map(|(name, times)| format!("{name} {times}"))
            .collect();
        let levels = |of: fn(&Gauge) -> String| -> String {
            let level = |[before, after]: &[Gauge; 2]| format!("{} -> {}", of(before), of(after));
            self.gauges.iter().map(level).collect::<Vec<_>>().join(", ")
        };
        format!(
            "{}, seed {}, {} s: {} acknowledged, {} found ({}); {} calls, {} refused, {} contended, {} unknown; \
             faults: {}; recovered within {} tries; slowest call {:.1} s; MiB {}; descriptors {}; {} violations",
            self.store,
            self.seed,
            self.load.as_secs(),
            self.acknowledged.iter().sum::<u64>(),
            self.found.iter().sum::<u64>(),
            deeds.join(", "),
            self.calls,
            self.refused,
            self.contended,
            self.unknown,
            faults.join(", "),
            self.most_tries,
            self.slowest.as_secs_f64(),
            levels(|gauge| format!("{:.1}", gauge.resident as f64 / f64::from(1 << 20))),
            levels(|gauge| gauge.descriptors.to_string()),
            self.wrong.len(),
        )
    }
}
