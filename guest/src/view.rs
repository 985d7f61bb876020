//! The view of a session that the engine returns, and for how long it is valid.

use crate::engine::Engine;
use crate::generation::TokenStatus;
use crate::handle::{Handle, Saved, Shown};
use crate::live::{Live, token_status, touch_due};
use crate::moments::Moments;
use crate::policy::TokenFormat;

/// The result of a write that the client needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The token to hand out, if the client needs a new one.
    pub token: Option<String>,
    /// Idle expiry: when the session ends unless it is used.
    pub expires_at: u64,
    /// Absolute end of the session, regardless of use.
    pub ends_at: u64,
}

/// The known state of a session, without the store; each field is described in `wit/policy.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/policy.wit")]
pub struct Details {
    pub public_id: String,
    pub subject: Option<String>,
    pub created_at: u64,
    pub authenticated_at: Option<u64>,
    pub expires_at: u64,
    pub ends_at: u64,
    pub generation: u32,
    pub touch_due: bool,
    pub renew_due: bool,
    pub reissue_due: bool,
}

/// An open session; each field is described in `wit/sessions.wit`.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/sessions.wit")]
pub struct Opened {
    pub handle: String,
    pub key: String,
    pub version: u64,
    pub details: Details,
    pub fields_at: u32,
    pub holds_until: u64,
}

// The handle and the key identify the session.
impl core::fmt::Debug for Opened {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opened")
            .field("details", &self.details)
            .field("holds_until", &self.holds_until)
            .finish_non_exhaustive()
    }
}

/// The result of a call that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The result for the client.
    pub grant: Grant,
    /// The session after the write.
    pub opened: Opened,
    /// Whether there was anything to write.
    pub wrote: bool,
}

/// The view of an open session for the host.
#[inline(never)]
pub(crate) fn opened(engine: &Engine, live: &Live, moments: &Moments) -> Opened {
    let details = details(engine, live, moments);
    let version = live.snapshot.version;
    Opened {
        handle: handle(engine, live, version),
        key: engine.key(live.snapshot.id),
        version,
        details,
        fields_at: live.snapshot.fields_at() as u32,
        holds_until: moments.holds_until(),
    }
}

/// The handle of a session whose record was read in this version.
pub(crate) fn handle(engine: &Engine, live: &Live, version: u64) -> String {
    let saved = Saved {
        id: live.snapshot.id,
        shown: live.shown,
        version,
    };
    Handle::Saved(saved).write(engine.tag)
}

/// The known state of an open session.
fn details(engine: &Engine, live: &Live, moments: &Moments) -> Details {
    let (policy, head) = (&engine.policy, &live.snapshot.head);
    let status = token_status(engine, live, moments);
    let unconfirmed = status == TokenStatus::Current && head.generations.confirmed_at.is_none();
    let renews = head
        .generations
        .is_renewal_due(policy.renew_interval_ms, status, moments);
    let settled = head.generations.is_settled(moments, policy.rotation_grace_ms);
    let Shown {
        issued_at,
        token_expires_at,
        ..
    } = live.shown;
    let half_life = issued_at + token_expires_at.saturating_sub(issued_at) / 2;
    let is_jwt = policy.token_format == TokenFormat::Jwt;
    Details {
        public_id: live.shown.public_id.text(),
        subject: head.subject.clone(),
        created_at: head.created_at,
        authenticated_at: head.authenticated_at,
        expires_at: live.expires_at,
        ends_at: head.ends_at,
        generation: live.shown.generation.counter,
        touch_due: unconfirmed || touch_due(policy, live, moments),
        renew_due: renews && (settled || status == TokenStatus::PreviousUnconfirmed),
        reissue_due: is_jwt && status != TokenStatus::PreviousInGrace && moments.is_past(half_life),
    }
}
