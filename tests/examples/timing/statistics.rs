//! Welch's t-test on times and on crops of the times, as in dudect.

/// The number of crops. Their percentiles become denser towards 100.
pub(crate) const CROPS: usize = 100;
/// The minimum number of samples of a class in a crop, as in dudect.
const ENOUGH: usize = 10_000;

/// One measured call.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) class: u8,
    pub(crate) nanos: u32,
}

/// The comparison of the times of two classes.
pub(crate) struct Test {
    pub(crate) samples: [usize; 2],
    /// The means of the samples below the 90th percentile, which excludes interrupts.
    pub(crate) means: [f64; 2],
    pub(crate) of_all: f64,
    /// The maximum |t| over all samples and all crops.
    pub(crate) greatest: f64,
}

/// Mean and variance of a stream (Welford).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn push(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    /// The variance of the mean.
    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// The moments of two classes' times up to a bound.
fn below(samples: &[Sample], classes: [u8; 2], bound: u32) -> [Moments; 2] {
    let mut moments = [Moments::default(); 2];
    for sample in samples.iter().filter(|sample| sample.nanos <= bound) {
        if let Some(class) = classes.iter().position(|class| *class == sample.class) {
            moments[class].push(sample.nanos.into());
        }
    }
    moments
}

fn welch([a, b]: [Moments; 2]) -> f64 {
    let error = (a.error() + b.error()).sqrt();
    if error > 0.0 {
        (a.mean - b.mean) / error
    } else {
        0.0
    }
}

/// Compares two of the classes.
pub(crate) fn compare(samples: &[Sample], classes: [u8; 2]) -> Test {
    let mut sorted: Vec<u32> = samples
        .iter()
        .filter(|sample| classes.contains(&sample.class))
        .map(|sample| sample.nanos)
        .collect();
    sorted.sort_unstable();
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];

    let all = below(samples, classes, u32::MAX);
    let of_all = welch(all);
    let mut greatest = of_all.abs();
    for crop in 1..=CROPS {
        let bound = at(1.0 - 0.5_f64.powf(10.0 * crop as f64 / CROPS as f64));
        let cropped = below(samples, classes, bound);
        if cropped.iter().all(|moments| moments.count >= ENOUGH as f64) {
            greatest = greatest.max(welch(cropped).abs());
        }
    }
    Test {
        samples: all.map(|moments| moments.count as usize),
        means: below(samples, classes, at(0.9)).map(|moments| moments.mean),
        of_all,
        greatest,
    }
}
