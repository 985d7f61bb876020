//! A policy and a key ring, and the way from a token to a session.

use std::rc::Rc;

use crate::call::Call;
use crate::encoding;
use crate::ending;
use crate::error::{Error, Kind};
use crate::generation::{Generations, Standing};
use crate::handle::{Shown, Tag};
use crate::keys::{KeyRing, SigningKey};
use crate::moments::Moments;
use crate::policy::{Policy, ReuseRule};
use crate::ports::Capabilities;
use crate::record;
use crate::session::{Live, Opened};
use crate::snapshot::Snapshot;
use crate::token::{self, SessionId, Token};
use crate::view;

/// What a token says of itself, no store asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// A hash of the session id.
    pub reference: String,
    /// What the token says.
    pub token: Token,
}

/// How often a session may have moved since an id was handed out; one of an older id counts as gone.
const MOVES: usize = 12;

/// A record as one call found it.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) guard: u64,
    pub(crate) expires_at: u64,
}

/// Holds a policy and keys, which never change.
pub struct Engine {
    pub(crate) policy: Policy,
    pub(crate) ring: KeyRing,
    pub(crate) store: Capabilities,
    pub(crate) tag: Tag,
}

impl Engine {
    /// Checks a policy against the store, and the keys.
    ///
    /// # Errors
    /// `InvalidPolicy`, `InvalidKey`.
    #[inline(never)]
    pub fn configure(call: &Call<'_>, policy: Policy, keys: &[SigningKey]) -> Result<Rc<Self>, Error> {
        policy.check()?;
        let store = call.describe();
        policy.check_store(&store)?;
        let ring = KeyRing::new(keys, &policy.issuer, &policy.audience)?;
        Ok(Rc::new(Self {
            tag: Tag::of(&policy),
            policy,
            ring,
            store,
        }))
    }

    /// Where a session's record lies in the store.
    pub(crate) fn key(&self, id: SessionId) -> String {
        let mut key = String::with_capacity(self.policy.key_prefix.len() + 22);
        key.push_str(&self.policy.key_prefix);
        encoding::encode_onto(&id.0, &mut key);
        key
    }

    /// Whose record lies under a key; `None` for a key that is not one of this engine's.
    pub(crate) fn id_of(&self, key: &str) -> Option<SessionId> {
        encoding::decode_exact(key.strip_prefix(&self.policy.key_prefix)?).map(SessionId)
    }

    /// Reads a session's record, wherever it has moved; `None` if there is none that lives.
    pub(crate) fn find(
        &self,
        call: &Call<'_>,
        mut id: SessionId,
        fresh: bool,
        moments: &Moments,
    ) -> Result<Option<Found>, Error> {
        for _ in 0..=MOVES {
            let entry = call.get(&self.key(id), fresh)?;
            let Some(entry) = entry.filter(|entry| !moments.is_past(entry.expires_at)) else {
                break;
            };
            if let Some(next) = record::moved_to(&entry.value) {
                id = next;
                continue;
            }
            let (guard, expires_at) = (entry.guard, entry.expires_at);
            return Ok(Some(Found {
                snapshot: Rc::new(Snapshot::read(id, entry.value, entry.version)?),
                guard,
                expires_at,
            }));
        }
        Ok(None)
    }

    /// Opens the session that a token names.
    ///
    /// # Errors
    /// `InvalidToken`, `Expired`, `Missing`, `Replaced`, `Reused`, and those of the store.
    pub fn open(&self, call: &Call<'_>, token: &str) -> Result<Opened, Error> {
        let now = call.now()?;
        let moments = Moments::at(now);
        let live = self.admit(call, token, now, &moments)?;
        let mut opened = view::opened(self, &live, &moments);
        // What more than one answer has decided does not hold when one of them is given again.
        if call.reads() != 1 || call.was_fresh() {
            opened.holds_until = 0;
        }
        Ok(opened)
    }

    /// Finds the session that a token names and judges the token by its record.
    fn admit(&self, call: &Call<'_>, token: &str, now: u64, moments: &Moments) -> Result<Live, Error> {
        let token = token::verify(token, &self.policy, &self.ring, moments)?;
        let exact = self.store.maximum_staleness_ms == 0;
        let mut fresh = exact;
        loop {
            // A store that is never stale need not be told to be fresh.
            let found = self.find(call, token.id, fresh && !exact, moments)?;
            let standing = found.as_ref().map(|found| self.stand(found, &token, moments));
            let found = match (found, standing) {
                (Some(found), Some(standing)) if standing.is_served() => found,
                // What a stale answer could be wrong about is asked again.
                (_, Some(Standing::Newer | Standing::Reused)) if !fresh => {
                    fresh = true;
                    continue;
                }
                (None, _) if !fresh && self.is_recent(token.generation.raised_at, moments) => {
                    fresh = true;
                    continue;
                }
                (Some(found), Some(Standing::Reused)) => return Err(self.reused(call, &token, found, now)),
                (_, Some(Standing::Newer)) if self.is_recent(token.generation.raised_at, moments) => {
                    return Err(Error::because(
                        Kind::Unavailable,
                        "the store's answer is older than the token",
                    ));
                }
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
                reference: found.snapshot.id.reference(),
            };
            return Ok(Live::new(shown, found));
        }
    }

    fn stand(&self, found: &Found, token: &Token, moments: &Moments) -> Standing {
        found
            .snapshot
            .head
            .generations
            .judge(token.generation, moments, self.policy.rotation_grace_ms)
    }

    /// Whether the store may not show yet what was written at this moment.
    fn is_recent(&self, moment: u64, moments: &Moments) -> bool {
        let staleness = self.store.maximum_staleness_ms;
        // A store that is never stale shows it, also to a clock that is behind.
        staleness > 0 && !moments.is_past(moment.saturating_add(staleness))
    }

    /// A theft signal stays one even if ending the session fails: the next use of either token tries again.
    fn reused(&self, call: &Call<'_>, token: &Token, found: Found, now: u64) -> Error {
        if self.policy.reuse_rule == ReuseRule::EndSession {
            let grace = self.policy.rotation_grace_ms;
            let still = |generations: &Generations, moments: &Moments| {
                generations.judge(token.generation, moments, grace) == Standing::Reused
            };
            match ending::end(self, call, found, still, now) {
                Err(error) if error.is(Kind::Pending) => return error,
                // A login came in between: the token died of that.
                Ok(false) => return Kind::Replaced.into(),
                _ => {}
            }
        }
        Kind::Reused.into()
    }

    /// Checks a token without the store. What was revoked since its issue goes unnoticed for up to `max_age_ms`.
    ///
    /// # Errors
    /// `InvalidToken`, `Expired`.
    pub fn verify(&self, call: &Call<'_>, token: &str, max_age_ms: Option<u64>) -> Result<Claims, Error> {
        let moments = Moments::at(call.now()?);
        let token = token::verify(token, &self.policy, &self.ring, &moments)?;
        // As old as the caller allows is not older.
        let is_old = |maximum| moments.is_past(token.issued_at.saturating_add(maximum).saturating_add(1));
        if max_age_ms.is_some_and(is_old) {
            return Err(Kind::Expired.into());
        }
        Ok(Claims {
            reference: token.id.reference().text(),
            token,
        })
    }

    /// The key that signs JWTs under a signing key.
    ///
    /// # Errors
    /// `InvalidArgument` if the ring has no such key.
    pub fn jwt_key(&self, key_id: &str) -> Result<Vec<u8>, Error> {
        match self.ring.find(key_id) {
            Some(key) => Ok(key.jwt_key().to_vec()),
            None => Err(Error::about(
                Kind::InvalidArgument,
                "key-id",
                "is not in the ring",
            )),
        }
    }
}
