//! What every store must keep, as properties that any [`Store`] can be asked.
//!
//! Each property is named for what it proves and gets a store of its own, fresh and empty. Time is passed in: nothing
//! sleeps. What a store does not offer by its `describe`, or was excused from with a reason, is reported as skipped,
//! by name; nothing is passed over in silence. Run it on a multi-threaded tokio runtime.
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

/// Whether a property holds, or what was seen instead.
pub type Check = Result<(), String>;

/// Sweeps a store at a given time and answers how many entries that removed.
pub type SweepFn<S> =
    for<'a> fn(&'a S, Timestamp) -> Pin<Box<dyn Future<Output = Result<usize, String>> + Send + 'a>>;

/// What a property needs of a store to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    CompareAndSwap,
    /// Expiry kept to the millisecond.
    ExactExpiry,
    /// An owners' index without delay.
    OwnerIndex,
    Sweep,
}

impl Need {
    /// Why the store cannot be asked; `None` if it can.
    fn lacking(self, capabilities: &Capabilities, can_sweep: bool) -> Option<&'static str> {
        match self {
            Self::CompareAndSwap if !capabilities.compare_and_swap => Some("no compare-and-swap"),
            Self::ExactExpiry if capabilities.expiry_resolution.as_millis() > 1 => {
                Some("expiry is kept less exactly than to the millisecond")
            }
            Self::OwnerIndex if !capabilities.list_by_owner => Some("no list by owner"),
            Self::OwnerIndex if !capabilities.index_staleness.is_zero() => {
                Some("the owners' index lags behind")
            }
            Self::Sweep if !can_sweep => Some("the store has no sweep to be called"),
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

/// Lists functions as properties: what each needs, then its name, which is the property's.
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
    /// A suite for the stores that `make` makes: each call a new, empty one.
    pub fn new(make: M) -> Self {
        Self {
            make,
            sweep: None,
            excused: Vec::new(),
        }
    }

    /// How to sweep the store by hand.
    #[must_use]
    pub fn with_sweep(mut self, sweep: SweepFn<S>) -> Self {
        self.sweep = Some(sweep);
        self
    }

    /// Leaves out one property, by name, for a reason that the report shows.
    #[must_use]
    pub fn excuse(mut self, property: &'static str, reason: &'static str) -> Self {
        self.excused.push((property, reason));
        self
    }

    /// Asks every property, each of a new store.
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
            // An excuse for what does not exist is a mistake, not an excuse.
            if !properties.iter().any(|property| property.name == *name) {
                let outcome =
                    Outcome::Failed("there is no property of this name to be excused from".to_owned());
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

/// What became of one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not: what was seen.
    Failed(String),
    /// It was not asked: why.
    Skipped(String),
}

/// What became of each property, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Name and outcome.
    pub lines: Vec<(String, Outcome)>,
}

impl Report {
    /// The names of the properties that were not asked.
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(|line| matches!(line.1, Outcome::Skipped(_)))
            .map(|line| line.0.as_str())
    }

    /// Whether at least one property was asked and all that were hold.
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
