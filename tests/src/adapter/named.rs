//! The engines and sessions of an adapter, by the names of the steps.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::args::Args;
use crate::lock;

/// Things of one kind. A name that is used again names the new one.
pub(crate) struct Named<T> {
    kind: &'static str,
    all: Mutex<BTreeMap<String, T>>,
}

impl<T: Clone> Named<T> {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            all: Mutex::default(),
        }
    }

    pub(crate) fn insert(&self, name: String, thing: T) {
        lock(&self.all).insert(name, thing);
    }

    /// Forgets all names of those that fit.
    pub(crate) fn forget(&self, fits: impl Fn(&T) -> bool) {
        lock(&self.all).retain(|_, thing| !fits(thing));
    }

    fn get(&self, name: &str) -> Result<T, String> {
        let found = lock(&self.all).get(name).cloned();
        found.ok_or_else(|| format!("unknown {} {name:?}", self.kind))
    }
}

/// The engines and sessions.
pub(crate) struct Names<H, S> {
    pub(crate) hosts: Named<H>,
    pub(crate) sessions: Named<S>,
}

impl<H: Clone, S: Clone> Default for Names<H, S> {
    fn default() -> Self {
        Self {
            hosts: Named::new("host"),
            sessions: Named::new("session"),
        }
    }
}

impl<H: Clone, S: Clone> Names<H, S> {
    /// The engine of a step.
    pub(crate) fn host(&self, members: &mut Args) -> Result<H, String> {
        self.hosts.get(&members.text_or("host", "main")?)
    }

    /// The session of a step.
    pub(crate) fn session(&self, members: &mut Args) -> Result<S, String> {
        self.sessions.get(&members.text("on")?)
    }

    /// Keeps a session, unless the step gives it no name.
    pub(crate) fn keep(&self, name: String, session: S) {
        if !name.is_empty() {
            self.sessions.insert(name, session);
        }
    }
}
