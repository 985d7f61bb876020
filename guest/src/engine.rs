//! A policy and a key ring: the context of every call, and the way from an id to a record.

use std::rc::Rc;

use crate::call::Call;
use crate::encoding;
use crate::error::{Error, Kind};
use crate::handle::Tag;
use crate::id::SessionId;
use crate::keys::{KeyRing, SigningKey};
use crate::moments::Moments;
use crate::policy::Policy;
use crate::ports::Capabilities;
use crate::record;
use crate::snapshot::Snapshot;
use crate::token::{self, Token};

/// What a token says of itself, no store asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// A hash of the session id.
    pub public_id: String,
    /// What the token says.
    pub token: Token,
}

/// How often a session may have moved since an id was handed out; one of an older id counts as gone.
const MAXIMUM_REDIRECTS: usize = 12;

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
        for _ in 0..=MAXIMUM_REDIRECTS {
            let entry = call.get(&self.key(id), fresh)?;
            let Some(entry) = entry.filter(|entry| !moments.is_past(entry.expires_at)) else {
                break;
            };
            if let Some(next) = record::redirect_target(&entry.value) {
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
            public_id: token.id.public_id().text(),
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
