//! The engine in a Worker as an adapter. Its store stays in this process.

mod host;
mod host_steps;
mod json;
mod session;
mod session_steps;
mod subject_steps;

use std::sync::Arc;

use tessera::store::StoreService;

use super::args::Args;
use super::clock::ScenarioClock;
use super::named::Names;
use super::outcome::Outcome;
use super::{Adapter, Configuration};
use crate::edge::Worker;
use crate::stores::Scripted;
use host::Host;
use session::Session;

/// The engines and sessions of a Worker, by the names of the steps.
pub struct WorkerAdapter<S>(Arc<Inner<S>>);

struct Inner<S> {
    worker: Worker,
    clock: ScenarioClock,
    names: Names<Host<S>, Session<S>>,
}

// Not derived, because the derived implementation would require `S: Clone`.
impl<S> Clone for WorkerAdapter<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: StoreService> WorkerAdapter<S> {
    /// Creates an adapter without engines.
    pub(crate) fn new(worker: Worker, clock: ScenarioClock) -> Self {
        Self(Arc::new(Inner {
            worker,
            clock,
            names: Names::default(),
        }))
    }
}

impl<S: StoreService> Adapter<S> for WorkerAdapter<S> {
    async fn configure(
        &self,
        host: &str,
        with: Configuration,
        store: Scripted<S>,
    ) -> Result<Outcome, String> {
        let mut instance = Host::instance(&self.0.worker, store, self.0.clock.clone()).await?;
        let configured = instance.configure(with).await?;
        if configured.is_ok() {
            self.0.names.hosts.insert(host.to_owned(), instance);
        }
        Ok(configured)
    }

    async fn perform(&self, step: &str, mut members: Args) -> Result<Outcome, String> {
        let outcome = match step {
            "policy" | "create" | "open" | "verify" | "jwt-key" => {
                let host = self.0.names.host(&mut members)?;
                self.host_step(host, step, &mut members).await
            }
            "list" | "revoke" | "revoke-all" | "revoke-others" => {
                let host = self.0.names.host(&mut members)?;
                self.subject_step(&host, step, &mut members).await
            }
            _ => self.session_step(step, &mut members).await,
        };
        members.finish()?;
        outcome
    }
}
