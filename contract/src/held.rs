//! What a host keeps of one session between its calls: the session's state, the entry it stands on, and its remembered open.

use std::fmt;
use std::sync::Arc;

use crate::opens::{Found, Opens};
use crate::state::{Failed, Opened, State, StateError};
use crate::store::Seed;

/// The kind of a call, which determines its effect on the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Stores the changes, and may leave the session's token and generations as they are.
    Save,
    /// Stores the changes with a new token: a rotation or a login.
    Write,
    /// Extends the idle expiry, or confirms a token.
    Touch,
    /// Issues the token again.
    Reissue,
    /// Ends the session.
    Destroy,
}

impl CallKind {
    /// The effect on the session of a call of this kind that failed with an error of this class.
    fn effect(self, failed: Failed) -> Failed {
        match (self, failed) {
            // A reissue writes nothing: the next call that writes finds the end itself.
            (Self::Reissue, _) => Failed::Otherwise,
            // No other call stores the changes.
            (Self::Touch | Self::Destroy, Failed::OutcomeUnknown) => Failed::Otherwise,
            _ => failed,
        }
    }
}

/// One session between its calls.
pub struct Held {
    /// The opened record and the changes made since.
    pub state: State,
    /// The entry that the session's calls read or wrote last; `None` for a draft or a destroyed session.
    seed: Option<Seed>,
    /// The key of the remembered open, if the session was opened.
    memo_key: Option<u64>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

impl Held {
    /// A draft with this handle, which was never saved.
    pub fn draft(handle: Arc<str>) -> Self {
        Self {
            state: State::draft(handle),
            seed: None,
            memo_key: None,
        }
    }

    /// An opened session.
    pub fn opened(found: Found) -> Self {
        Self {
            state: State::opened(found.opened),
            seed: Some(found.seed),
            memo_key: Some(found.memo_key),
        }
    }

    /// The entry from which the next call starts; `None` for a draft or a destroyed session.
    pub fn seed(&self) -> Option<&Seed> {
        self.seed.as_ref()
    }

    /// A second session over the same record, with a copy of the changes.
    ///
    /// # Errors
    /// [`StateError::Busy`], [`StateError::Closed`].
    pub fn fork(&self) -> Result<Self, StateError> {
        Ok(Self {
            state: self.state.fork()?,
            seed: self.seed.clone(),
            memo_key: self.memo_key,
        })
    }

    /// Notes the session as a call of this kind has left it, by the entry `seed`.
    ///
    /// `is_same_token` says that the call wrote, and that the client's token stays as it is: after a save, an open of that
    /// token now returns this session.
    pub fn succeeded(
        &mut self,
        kind: CallKind,
        (mut opened, seed): (Arc<Opened>, Seed),
        is_same_token: bool,
        opens: &Opens,
    ) {
        if kind == CallKind::Save
            && is_same_token
            && let (Some(memo_key), Some(before), Some(read)) =
                (self.memo_key, self.state.stands_on(), &self.seed)
        {
            opens.saved(memo_key, (before, read), (&mut opened, &seed));
        }
        match kind {
            CallKind::Save | CallKind::Write => self.state.written(opened),
            CallKind::Touch => self.state.touched(opened),
            CallKind::Reissue => self.state.reissued(&opened),
            CallKind::Destroy => return self.destroyed(opens),
        }
        self.seed = Some(seed);
    }

    /// Notes that the session was destroyed, and forgets its remembered open.
    pub fn destroyed(&mut self, opens: &Opens) {
        self.state.close();
        self.seed = None;
        if let Some(memo_key) = self.memo_key {
            opens.forget(memo_key);
        }
    }

    /// Notes that a call of this kind failed with an error of this class. The seed is kept: the call may have read an entry that
    /// opens no session.
    pub fn failed(&mut self, kind: CallKind, failed: Failed) {
        self.state.failed(kind.effect(failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_that_stores_the_changes_leaves_their_outcome_unknown_and_a_reissue_closes_nothing() {
        for (kind, ended, unknown) in [
            (CallKind::Save, Failed::Ended, Failed::OutcomeUnknown),
            (CallKind::Write, Failed::Ended, Failed::OutcomeUnknown),
            (CallKind::Touch, Failed::Ended, Failed::Otherwise),
            (CallKind::Destroy, Failed::Ended, Failed::Otherwise),
            (CallKind::Reissue, Failed::Otherwise, Failed::Otherwise),
        ] {
            assert_eq!(kind.effect(Failed::Ended), ended, "{kind:?}");
            assert_eq!(kind.effect(Failed::OutcomeUnknown), unknown, "{kind:?}");
            assert_eq!(kind.effect(Failed::Otherwise), Failed::Otherwise, "{kind:?}");
        }
    }
}
