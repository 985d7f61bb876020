//! Opening a session, and what is remembered of it.
//!
//! The store is asked at every open. Where it answers as it did before, and no moment has passed on which the decision depends,
//! the engine would decide as before, and is not called.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tessera_contract::Timestamp;
use tessera_contract::memo::Memo;
use tessera_contract::state::{Fields, Opened};
use tessera_contract::store::{Seed, StoreOp, StoreReply};

use super::bindings::wit;
use super::call::Calls;
use super::log::Log;
use crate::error::SessionError;
use crate::store::{Entry, StoreError};
use crate::summary;

/// What an open session takes beside its record, about.
const OPENED_BYTES: usize = 1024;

/// An open that the engine has decided.
struct Remembered {
    /// Which key ring was in force.
    ring: u64,
    question: Arc<StoreOp>,
    found: Found,
}

/// A session as it was opened, and the entry that it was opened by.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) opened: Arc<Opened>,
    pub(crate) seed: Seed,
    /// Stands for the token in the memo.
    pub(crate) memo_key: u64,
}

/// What is remembered of opens.
pub(crate) struct Memory {
    memo: Memo<Remembered>,
    /// Counts the changes of the key ring.
    ring: AtomicU64,
}

impl Memory {
    /// With room for about so many sessions and bytes.
    pub(crate) fn new(sessions: usize, bytes: usize) -> Self {
        Self {
            memo: Memo::new(sessions, bytes),
            ring: AtomicU64::new(0),
        }
    }

    /// Nothing that was decided before holds any longer, even where it is noted later.
    pub(super) fn forget_all(&self) {
        self.ring.fetch_add(1, Ordering::SeqCst);
        self.memo.clear();
    }

    /// Forgets one session.
    pub(crate) fn forget(&self, memo_key: u64) {
        self.memo.forget(memo_key);
    }
}

impl Remembered {
    /// Whether the store's answer is the one by which it was decided. By its text as well, because a damaged record keeps its
    /// version.
    fn is_by(&self, answer: &StoreReply) -> bool {
        let StoreReply::Entry(Ok(entry)) = answer else {
            return false;
        };
        let Entry {
            value,
            version,
            expires_at,
            ..
        } = &self.found.seed.entry;
        entry.version == *version
            && entry.expires_at == *expires_at
            && (Arc::ptr_eq(&entry.value, value) || entry.value == *value)
    }
}

impl Calls {
    /// Opens the session that a token names.
    pub(crate) async fn open(self: &Arc<Self>, token: &str) -> Result<Found, SessionError> {
        let ring = self.memory.ring.load(Ordering::SeqCst);
        let memo_key = self.memory.memo.key(token);
        let mut log = Log::default();
        if let Some(known) = self.memory.memo.get(memo_key, token)
            && known.ring == ring
        {
            let now = self.now();
            if known.found.opened.holds_at(now) {
                let (store, question) = (&self.setup.sources.store, &known.question);
                let answer = Arc::clone(store).ask(now, Arc::clone(question)).await;
                if let (true, StoreReply::Entry(Ok(entry))) = (known.is_by(&answer), &answer) {
                    let mut found = known.found.clone();
                    // The guard is no part of the decision, and what ends the session is conditional on it.
                    found.seed.entry.guard = entry.guard;
                    return Ok(found);
                }
                // An outage says nothing of the record.
                if matches!(answer, StoreReply::Entry(Ok(_) | Err(StoreError::Missing))) {
                    self.memory.memo.forget(memo_key);
                }
                // No question is asked twice.
                log = Log::answered(now, Arc::clone(question), answer);
            }
        }
        self.decide(log, token, ring, memo_key).await
    }

    async fn decide(
        self: &Arc<Self>,
        mut log: Log,
        token: &str,
        ring: u64,
        memo_key: u64,
    ) -> Result<Found, SessionError> {
        let (calls, text) = (Arc::clone(self), token.to_owned());
        let decided = super::detach::detached(log.wrote_flag(), async move {
            let opened = calls
                .finish(&mut log, |instance| {
                    let (sessions, store, engine) = instance.parts();
                    sessions.call_open(store, engine, &text)
                })
                .await?;
            Ok::<_, SessionError>((text, opened, log))
        });
        let (text, opened, log) = decided.await?;
        let holds = opened.holds_until > 0;
        let (opened, seed) = found(opened, &log)?;
        let found = Found {
            opened,
            seed,
            memo_key,
        };
        if holds {
            let question = StoreOp::Get {
                key: Arc::clone(&found.seed.key),
                fresh: false,
            };
            let bytes = found.seed.entry.value.len() + OPENED_BYTES;
            let remembered = Remembered {
                ring,
                question: Arc::new(question),
                found: found.clone(),
            };
            self.memory.memo.put(memo_key, &text, Arc::new(remembered), bytes);
        }
        Ok(found)
    }
}

/// The session that the engine answers, with the entry that it is about.
pub(crate) fn found(opened: wit::Opened, log: &Log) -> Result<(Arc<Opened>, Seed), SessionError> {
    let broken = || SessionError::Other {
        reason: "the component answered a session that it has not read".into(),
        source: None,
    };
    let seed = log.seen(&opened.key).ok_or_else(broken)?.clone();
    let fields = Fields::new(Arc::clone(&seed.entry.value), opened.fields_at as usize).ok_or_else(broken)?;
    let opened = Opened {
        handle: opened.handle,
        key: Arc::clone(&seed.key),
        version: opened.version,
        details: summary::details(opened.details),
        asked_at: log.asked_at(),
        holds_until: Timestamp::from_millis(opened.holds_until),
        fields: Arc::new(fields),
    };
    Ok((Arc::new(opened), seed))
}
