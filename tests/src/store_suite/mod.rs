//! The store suite: properties that every [`Store`] must have.
//!
//! The name of a property states its claim. Each property gets a new, empty store.
//! Times are passed as arguments, so that no property sleeps.
//! A property is reported as skipped, by name, if the store does not offer a capability that it needs, or if the store is
//! excused from it with a reason. Run the suite on a multi-threaded tokio runtime.
//!
//! Entries expire relative to the wall clock at the start, so that native TTLs of a store do not interfere.

use std::fmt;
use std::sync::Arc;

use tessera::store::Store;

mod basics;
mod concurrency;
mod expiry;
mod guards;
mod limits;
mod owners;
mod property;
mod subject;
mod texts;

use property::Property;
pub use subject::{Check, Subject, SweepFn};

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
