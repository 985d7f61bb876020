//! One session: an immutable snapshot, the changes made since, and the calls that ask the store.
//!
//! A call that asks works on what it found and changes the handle only at its end; one that ends as pending changes nothing.

mod calls;
mod fields;

use std::cell::RefCell;
use std::rc::Rc;

use crate::author::Author;
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::generation::{Generation, Standing};
use crate::overlay::{Change, Overlay};
use crate::policy::TokenFormat;
use crate::snapshot::Snapshot;
use crate::token::Token;
use crate::write;

/// What a write hands back for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The token to hand out, if the client needs another than it has.
    pub token: Option<String>,
    /// When the session ends unless it is used.
    pub expires_at: u64,
    /// When it ends however much it is used.
    pub ends_at: u64,
}

/// Where a handle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Never saved.
    Draft,
    /// Stored, as far as is known.
    Live,
    /// Destroyed or found ended.
    Closed,
}

/// What is known of a session without asking the store; each field is described in `wit/policy.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/policy.wit")]
pub struct Details {
    pub status: Status,
    pub reference: String,
    pub subject: Option<String>,
    pub created_at: u64,
    pub authenticated_at: Option<u64>,
    pub expires_at: u64,
    pub ends_at: u64,
    pub generation: u32,
    pub touch_due: bool,
    pub renew_due: bool,
    pub reissue_due: bool,
    pub modified: bool,
}

/// A stored session as a handle sees it.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) guard: u64,
    pub(crate) expires_at: u64,
    /// The generation of the token that was shown, or of the one that an authentication has made.
    pub(crate) generation: Generation,
    pub(crate) issued_at: u64,
    pub(crate) token_expires_at: u64,
}

impl Live {
    pub(crate) fn new(token: &Token, found: Found) -> Self {
        let live = Self::found(token.generation, found);
        Self {
            issued_at: token.issued_at,
            token_expires_at: token.expires_at,
            ..live
        }
    }

    pub(crate) fn found(generation: Generation, found: Found) -> Self {
        let Found {
            snapshot,
            guard,
            expires_at,
        } = found;
        Self {
            snapshot,
            guard,
            expires_at,
            generation,
            issued_at: 0,
            token_expires_at: 0,
        }
    }

    /// The same token's, over another state of the record.
    pub(crate) fn over(&self, found: Found) -> Self {
        let Found {
            snapshot,
            guard,
            expires_at,
        } = found;
        Self {
            snapshot,
            guard,
            expires_at,
            ..*self
        }
    }
}

#[derive(Clone)]
enum Phase {
    Draft,
    Live(Live),
    Closed,
}

#[derive(Clone)]
struct State {
    phase: Phase,
    overlay: Overlay,
    author: Option<Author>,
}

impl State {
    fn snapshot(&self) -> Result<Option<&Snapshot>, Error> {
        match &self.phase {
            Phase::Draft => Ok(None),
            Phase::Live(live) => Ok(Some(&live.snapshot)),
            Phase::Closed => Err(Kind::Closed.into()),
        }
    }

    fn live(&self) -> Result<&Live, Error> {
        match &self.phase {
            Phase::Draft => Err(Kind::Draft.into()),
            Phase::Live(live) => Ok(live),
            Phase::Closed => Err(Kind::Closed.into()),
        }
    }

    /// The value of a field as it stands in a record: the change made to it, or else the snapshot's.
    fn raw(&self, escaped_name: &str) -> Result<Option<&str>, Error> {
        let stored = self.snapshot()?;
        Ok(match self.overlay.get(escaped_name) {
            Some(change) => change,
            None => stored.and_then(|snapshot| snapshot.raw(escaped_name)),
        })
    }

    /// Notes a change; to remove what is not stored is none.
    fn note(&mut self, change: Change) -> Result<(), Error> {
        let stored = self
            .snapshot()?
            .is_some_and(|snapshot| snapshot.raw(&change.name).is_some());
        if change.value.is_some() || stored || self.overlay.may_be_stored(&change.name) {
            self.overlay.put(change);
        } else {
            self.overlay.drop_change(&change.name);
        }
        Ok(())
    }

    /// How many fields there are, changes counted in.
    fn count(&self) -> usize {
        let stored = self.snapshot().ok().flatten();
        let mut count = stored.map_or(0, Snapshot::len);
        for (name, change) in self.overlay.iter() {
            let was = stored.is_some_and(|snapshot| snapshot.raw(name).is_some());
            match (was, change.is_some()) {
                (false, true) => count += 1,
                (true, false) => count -= 1,
                _ => {}
            }
        }
        count
    }

    /// All fields with their values as they stand in a record, ordered by name.
    fn each_raw(&self, mut visit: impl FnMut(&str, &str)) -> Result<(), Error> {
        let mut changes = self.overlay.iter().peekable();
        for (name, value) in self.snapshot()?.into_iter().flat_map(Snapshot::raw_fields) {
            while let Some((changed, change)) = changes.next_if(|(changed, _)| *changed < name) {
                if let Some(new) = change {
                    visit(changed, new);
                }
            }
            match changes.next_if(|(changed, _)| *changed == name) {
                Some((_, Some(new))) => visit(name, new),
                Some((_, None)) => {}
                None => visit(name, value),
            }
        }
        for (changed, change) in changes {
            if let Some(new) = change {
                visit(changed, new);
            }
        }
        Ok(())
    }
}

/// A handle on one session.
pub struct Session {
    engine: Rc<Engine>,
    state: RefCell<State>,
}

impl Session {
    pub(crate) fn draft(engine: Rc<Engine>) -> Self {
        Self::with(engine, Phase::Draft)
    }

    pub(crate) fn opened(engine: Rc<Engine>, live: Live) -> Self {
        Self::with(engine, Phase::Live(live))
    }

    fn with(engine: Rc<Engine>, phase: Phase) -> Self {
        Self {
            engine,
            state: RefCell::new(State {
                phase,
                overlay: Overlay::default(),
                author: None,
            }),
        }
    }

    /// The version of the record that was opened or last written; `None` for a draft.
    pub fn version(&self) -> Option<u64> {
        self.state.borrow().live().ok().map(|live| live.snapshot.version)
    }

    /// What is known of the session at `now`.
    pub fn details(&self, now: u64) -> Details {
        let state = self.state.borrow();
        let modified = !state.overlay.is_empty();
        let Ok(live) = state.live() else {
            let status = if matches!(state.phase, Phase::Closed) {
                Status::Closed
            } else {
                Status::Draft
            };
            return Details {
                status,
                reference: String::new(),
                subject: None,
                created_at: now,
                authenticated_at: None,
                expires_at: now,
                ends_at: now,
                generation: 0,
                touch_due: false,
                renew_due: false,
                reissue_due: false,
                modified,
            };
        };
        let (policy, head) = (&self.engine.policy, &live.snapshot.head);
        let standing = self.stand(live, now);
        let unconfirmed = standing == Standing::Current && head.generations.confirmed_at.is_none();
        let due = write::renewal_due(&head.generations, policy.renew_interval_ms, standing, now);
        let settled = head.generations.is_settled(now, policy.rotation_grace_ms);
        let half_life = live.issued_at + live.token_expires_at.saturating_sub(live.issued_at) / 2;
        let in_grace = standing == Standing::PreviousInGrace;
        Details {
            status: Status::Live,
            reference: live.snapshot.id.reference(),
            subject: head.subject.clone(),
            created_at: head.created_at,
            authenticated_at: head.authenticated_at,
            expires_at: live.expires_at,
            ends_at: head.ends_at,
            generation: live.generation.counter,
            touch_due: unconfirmed || self.slides(live, now).is_some(),
            renew_due: due && (settled || standing == Standing::PreviousUnconfirmed),
            reissue_due: policy.token_format == TokenFormat::Jwt && !in_grace && now >= half_life,
            modified,
        }
    }

    fn stand(&self, live: &Live, now: u64) -> Standing {
        live.snapshot
            .head
            .generations
            .judge(live.generation, now, self.engine.policy.rotation_grace_ms)
    }

    /// The idle expiry that a touch would set; `None` if the last is not old enough.
    fn slides(&self, live: &Live, now: u64) -> Option<u64> {
        let policy = &self.engine.policy;
        let slid = (now + policy.idle_timeout_ms).min(live.snapshot.head.ends_at);
        let gained = slid.saturating_sub(live.expires_at);
        let due = gained >= policy.touch_interval_ms || slid == live.snapshot.head.ends_at;
        (gained > 0 && due).then_some(slid)
    }
}
