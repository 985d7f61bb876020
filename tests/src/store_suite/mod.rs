//! The store suite: properties that every [`Store`] must have.
//!
//! The name of a property states its claim. Each property gets a new, empty store.
//! Times are passed as arguments, so that no property sleeps.
//! A property is reported as skipped, by name, if the store does not offer a capability that it needs, or if the store is
//! excused from it with a reason. Run the suite on a multi-threaded tokio runtime.
//!
//! Entries expire relative to the wall clock at the start, so that native TTLs of a store do not interfere.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tessera::Timestamp;
use tessera::store::{Capabilities, Store};

mod basics;
mod concurrency;
mod expiry;
mod guards;
mod limits;
mod owners;
mod subject;
mod texts;

pub use subject::Subject;

/// `Ok` if a property holds, otherwise a description of the violation.
pub type Check = Result<(), String>;

/// Sweeps a store at a given time and returns the number of removed entries.
pub type SweepFn<S> =
    for<'a> fn(&'a S, Timestamp) -> Pin<Box<dyn Future<Output = Result<usize, String>> + Send + 'a>>;

/// A capability that a property needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    CompareAndSwap,
    /// Expiry with a resolution of a millisecond.
    ExactExpiry,
    /// An index of owners without delay.
    OwnerIndex,
    Sweep,
}

impl Need {
    /// The reason why the store lacks the capability, or `None` if it has it.
    fn lacking(self, capabilities: &Capabilities, can_sweep: bool) -> Option<&'static str> {
        match self {
            Self::CompareAndSwap if !capabilities.compare_and_swap => Some("no compare-and-swap"),
            Self::ExactExpiry if capabilities.expiry_resolution.as_millis() > 1 => {
                Some("the resolution of expiry is coarser than a millisecond")
            }
            Self::OwnerIndex if !capabilities.list_by_owner => Some("no list by owner"),
            Self::OwnerIndex if !capabilities.index_staleness.is_zero() => {
                Some("the index of owners may be stale")
            }
            Self::Sweep if !can_sweep => Some("the store has no sweep function"),
            _ => None,
        }
    }
}

type Run<S> = fn(Subject<S>) -> Pin<Box<dyn Future<Output = Check>>>;

struct Property<S> {
    name: String,
    needs: &'static [Need],
    run: Run<S>,
}

/// Lists functions as properties: the needs of each, then its name, which becomes the property's name.
macro_rules! properties {
    ($($needs:expr => $function:ident,)*) => {
        vec![$($crate::store_suite::Property {
            name: stringify!($function).replace('_', " "),
            needs: &$needs,
            run: |subject| Box::pin($function(subject)),
        },)*]
    };
}
use properties;

/// The suite for one kind of store.
pub struct Suite<S, M> {
    make: M,
    sweep: Option<SweepFn<S>>,
    excused: Vec<(&'static str, &'static str)>,
}

impl<S: Store, M: AsyncFn() -> S> Suite<S, M> {
    /// Creates a suite. Each call of `make` must return a new, empty store.
    pub fn new(make: M) -> Self {
        Self {
            make,
            sweep: None,
            excused: Vec::new(),
        }
    }

    /// Sets the function that sweeps the store.
    #[must_use]
    pub fn with_sweep(mut self, sweep: SweepFn<S>) -> Self {
        self.sweep = Some(sweep);
        self
    }

    /// Skips one property, by name. The report contains the reason.
    #[must_use]
    pub fn excuse(mut self, property: &'static str, reason: &'static str) -> Self {
        self.excused.push((property, reason));
        self
    }

    /// Checks every property, each with a new store.
    pub async fn run(self) -> Report {
        let properties: Vec<Property<S>> = [
            basics::properties(),
            expiry::properties(),
            owners::properties(),
            guards::properties(),
            limits::properties(),
            texts::properties(),
            concurrency::properties(),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut report = Report {
            lines: Vec::with_capacity(properties.len()),
        };
        for (name, _) in &self.excused {
            // An excuse for an unknown property is an error.
            if !properties.iter().any(|property| property.name == *name) {
                let outcome = Outcome::Failed("an excuse names an unknown property".to_owned());
                report.lines.push(((*name).to_owned(), outcome));
            }
        }
        for property in properties {
            let outcome = self.ask(&property).await;
            report.lines.push((property.name, outcome));
        }
        report
    }

    async fn ask(&self, property: &Property<S>) -> Outcome {
        if let Some((_, reason)) = self.excused.iter().find(|(name, _)| *name == property.name) {
            return Outcome::Skipped((*reason).to_owned());
        }
        let store = Arc::new((self.make)().await);
        let capabilities = store.describe();
        let lacking = property
            .needs
            .iter()
            .find_map(|need| need.lacking(&capabilities, self.sweep.is_some()));
        if let Some(reason) = lacking {
            return Outcome::Skipped(reason.to_owned());
        }
        match (property.run)(Subject::new(store, capabilities, self.sweep)).await {
            Ok(()) => Outcome::Holds,
            Err(seen) => Outcome::Failed(seen),
        }
    }
}

/// The result of one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not hold, with a description of the violation.
    Failed(String),
    /// It was not checked, with the reason.
    Skipped(String),
}

/// The results of all properties, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The name and result of each property.
    pub lines: Vec<(String, Outcome)>,
}

impl Report {
    /// The names of the skipped properties.
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(|line| matches!(line.1, Outcome::Skipped(_)))
            .map(|line| line.0.as_str())
    }

    /// Whether at least one property holds and none failed.
    pub fn is_clean(&self) -> bool {
        let failed = self.lines.iter().any(|line| matches!(line.1, Outcome::Failed(_)));
        let held = self.lines.iter().any(|line| line.1 == Outcome::Holds);
        held && !failed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.lines {
            match outcome {
                Outcome::Holds => writeln!(f, "holds: {name}")?,
                Outcome::Failed(seen) => writeln!(f, "FAILED: {name}: {seen}")?,
                Outcome::Skipped(why) => writeln!(f, "skipped: {name}: {why}")?,
            }
        }
        Ok(())
    }
}
