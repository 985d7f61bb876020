//! The hosts and sessions of a scenario whose engine is in a Worker.

use std::collections::BTreeMap;

use super::remote_host::Host;
use super::remote_session::Session;
use crate::edge::Worker;

/// The additional state of a scenario in a Worker.
pub(super) struct Remote<S> {
    pub(super) worker: Worker,
    pub(super) hosts: BTreeMap<String, Host<S>>,
    pub(super) sessions: BTreeMap<String, Session<S>>,
}

impl<S> Remote<S> {
    pub(super) fn new(worker: Worker) -> Self {
        Self {
            worker,
            hosts: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }
}
