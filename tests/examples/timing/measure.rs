//! Times calls one by one, and makes rows of the samples.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::SURE;
use crate::inputs::Random;
use crate::statistics::{Sample, Test, compare};

/// The total number of timed calls.
pub(crate) static TIMED: AtomicUsize = AtomicUsize::new(0);

/// The number of inputs in a batch. Inputs are made in batches, so that none is made while calls are timed.
const BATCH: usize = 2_000;
/// The number of samples of the warm-up, which are discarded.
const WARMING: usize = 20_000;
/// The expected result of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The classes differ in their similarity to a secret.
    Secret,
    /// A control whose leak must be detected.
    MustLeak,
    /// A control whose classes are the same.
    MustNot,
    /// The classes differ in something that is not secret.
    Told,
}

pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) classes: [&'static str; 2],
    pub(crate) test: Test,
    pub(crate) verdict: Verdict,
}

impl Row {
    /// Whether a control has its expected result.
    pub(crate) fn holds(&self) -> bool {
        match self.verdict {
            Verdict::MustLeak => self.test.greatest > SURE,
            Verdict::MustNot => self.test.greatest < SURE,
            Verdict::Secret | Verdict::Told => true,
        }
    }
}

/// Times a call over inputs of several classes in random order.
pub(crate) fn measure<I>(
    count: usize,
    classes: usize,
    mut make: impl FnMut(usize, &mut Random) -> I,
    mut call: impl FnMut(&I),
) -> Vec<Sample> {
    let mut random = Random(0x7e55_e8a0);
    let mut samples = Vec::with_capacity(count + WARMING + BATCH);
    while samples.len() < count + WARMING {
        let batch: Vec<(u8, I)> = (0..BATCH)
            .map(|_| {
                let class = random.below(classes);
                (class as u8, make(class, &mut random))
            })
            .collect();
        for (class, input) in &batch {
            let began = Instant::now();
            call(input);
            let nanos = began.elapsed().as_nanos().try_into().unwrap_or(u32::MAX);
            samples.push(Sample { class: *class, nanos });
        }
    }
    samples.drain(..WARMING);
    TIMED.fetch_add(samples.len(), Ordering::Relaxed);
    samples
}

pub(crate) fn row(
    what: &'static str,
    classes: [&'static str; 2],
    samples: &[Sample],
    pair: [u8; 2],
    verdict: Verdict,
) -> Row {
    Row {
        what,
        classes,
        test: compare(samples, pair),
        verdict,
    }
}
