//! The configured engine: the policy and key ring of every call, and the lookup of records by session id.

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

/// The claims of a checked token, without the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// A hash of the bytes of the session id that renewals keep.
    pub public_id: String,
    /// The token's content.
    pub token: Token,
}

/// The maximum number of redirects from an id to its record. With more, the session counts as missing.
const MAXIMUM_REDIRECTS: usize = 12;

/// A record that one call has read.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) guard: u64,
    pub(crate) expires_at: u64,
}

/// A policy and a key ring, which never change.
pub struct Engine {
    pub(crate) policy: Policy,
    pub(crate) ring: KeyRing,
    pub(crate) store: Capabilities,
    pub(crate) tag: Tag,
}

impl Engine {
    /// Creates an engine. Checks the policy, also against the store's guarantees, and the keys.
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

    /// The key of a session's record in the store.
    pub(crate) fn key(&self, id: SessionId) -> String {
        let mut key = String::with_capacity(self.policy.key_prefix.len() + 22);
        key.push_str(&self.policy.key_prefix);
        encoding::encode_onto(&id.0, &mut key);
        key
    }

    /// The session id of a key; `None` for a key that this engine does not use.
    pub(crate) fn id_of(&self, key: &str) -> Option<SessionId> {
        encoding::decode_exact(key.strip_prefix(&self.policy.key_prefix)?).map(SessionId)
    }

    /// Reads a session's record and follows redirects; `None` if there is no live record.
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

    /// Checks a token without the store.
    ///
    /// A revocation after the token's issue goes unnoticed for up to `max_age_ms`.
    ///
    /// # Errors
    /// The kinds `Token…`, `Expired`.
    pub fn verify(&self, call: &Call<'_>, token: &str, max_age_ms: Option<u64>) -> Result<Claims, Error> {
        let moments = Moments::at(call.now()?);
        let token = token::verify(token, &self.policy, &self.ring, &moments)?;
        // A token of exactly the maximum age is accepted.
        let is_old = |maximum| moments.is_past(token.issued_at.saturating_add(maximum).saturating_add(1));
        if max_age_ms.is_some_and(is_old) {
            return Err(Kind::Expired.into());
        }
        Ok(Claims {
            public_id: token.id.public_id().text(),
            token,
        })
    }

    /// Returns the key that signs JWTs under a signing key.
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
