//! Opening a session by its token.

use crate::call::Call;
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::generation::{Generation, Generations, TokenStatus};
use crate::handle::Shown;
use crate::live::Live;
use crate::moments::Moments;
use crate::policy::ReuseRule;
use crate::termination;
use crate::token::{self, Token};
use crate::view::{self, Opened};

impl Engine {
    /// Opens the session that a token names.
    ///
    /// # Errors
    /// The kinds `Token…`, `Expired`, `Missing`, `Replaced`, `Reused`, and those of the store.
    pub fn open(&self, call: &Call<'_>, token: &str) -> Result<Opened, Error> {
        let now = call.now()?;
        let moments = Moments::at(now);
        let live = self.admit(call, token, now, &moments)?;
        let mut opened = view::opened(self, &live, &moments);
        // A decision by more than one reply is not reusable: the host compares only one reply.
        if call.reads() != 1 || call.was_fresh() {
            opened.holds_until = 0;
        }
        Ok(opened)
    }

    /// Finds the session that a token names, and checks the token's generation by the record.
    fn admit(&self, call: &Call<'_>, token: &str, now: u64, moments: &Moments) -> Result<Live, Error> {
        let token = token::verify(token, &self.policy, &self.ring, moments)?;
        let exact = self.store.maximum_staleness_ms == 0;
        let mut fresh = exact;
        loop {
            // A store that is never stale needs no `fresh`.
            let found = self.find(call, token.id, fresh && !exact, moments)?;
            let status = found
                .as_ref()
                .map(|found| self.token_status(found, &token, moments));
            let found = match (found, status) {
                (Some(found), Some(status)) if status.is_served() => found,
                // A stale reply could cause these results: read again, fresh.
                (_, Some(TokenStatus::Newer | TokenStatus::Reused)) if !fresh => {
                    fresh = true;
                    continue;
                }
                (None, _) if !fresh && self.is_recent(token.generation.raised_at, moments) => {
                    fresh = true;
                    continue;
                }
                (Some(found), Some(TokenStatus::Reused)) => return Err(self.reused(call, &token, found, now)),
                (_, Some(TokenStatus::Newer)) => return Err(self.newer(token.generation, moments)),
                (None, _) => return Err(Kind::Missing.into()),
                _ => return Err(Kind::Replaced.into()),
            };
            if moments.is_past(found.snapshot.head.ends_at) {
                return Err(Kind::Expired.into());
            }
            if token.subject.is_some() && token.subject != found.snapshot.head.subject {
                return Err(Kind::Replaced.into());
            }
            let shown = Shown {
                generation: token.generation,
                issued_at: token.issued_at,
                token_expires_at: token.expires_at,
                public_id: found.snapshot.id.public_id(),
            };
            return Ok(Live::new(shown, found));
        }
    }

    fn token_status(&self, found: &Found, token: &Token, moments: &Moments) -> TokenStatus {
        found
            .snapshot
            .head
            .generations
            .classify(token.generation, moments, self.policy.rotation_grace_ms)
    }

    /// The error of a token that is newer than the stored record.
    pub(crate) fn newer(&self, generation: Generation, moments: &Moments) -> Error {
        if self.is_recent(generation.raised_at, moments) {
            Error::because(Kind::Unavailable, "the store's record is older than the token")
        } else {
            Kind::Replaced.into()
        }
    }

    /// Whether a read that is not fresh may still miss a write of this moment.
    fn is_recent(&self, moment: u64, moments: &Moments) -> bool {
        let staleness = self.store.maximum_staleness_ms;
        // A store that is never stale returns it, even if this host's clock is behind.
        staleness > 0 && !moments.is_past(moment.saturating_add(staleness))
    }

    /// The error of a reused token; ends the session if the policy requires it.
    ///
    /// The theft signal is returned even if ending the session fails: the next use of either token tries again.
    fn reused(&self, call: &Call<'_>, token: &Token, found: Found, now: u64) -> Error {
        if self.policy.reuse_rule == ReuseRule::EndSession {
            let grace = self.policy.rotation_grace_ms;
            let still = |generations: &Generations, moments: &Moments| {
                generations.classify(token.generation, moments, grace) == TokenStatus::Reused
            };
            match termination::end(self, call, found, still, now) {
                Err(error) if error.is(Kind::Pending) => return error,
                // A concurrent login has replaced the token.
                Ok(false) => return Kind::Replaced.into(),
                _ => {}
            }
        }
        Kind::Reused.into()
    }
}
