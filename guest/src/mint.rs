//! Issuing a token of a session.

use tessera_contract::Value;

use crate::engine::Engine;
use crate::error::Error;
use crate::form::{self, escape};
use crate::generation::Generation;
use crate::record::Head;
use crate::snapshot::Snapshot;
use crate::token::{self, Claims, Minted};

/// Issues a token of a session, with the text fields that the policy copies into it.
pub(crate) fn mint(
    engine: &Engine,
    generation: Generation,
    head: &Head,
    fields: &Snapshot,
    now: u64,
) -> Result<Minted, Error> {
    let mut data = Vec::new();
    for name in &engine.policy.token_fields {
        if let Some(raw) = fields.raw(&escape(name))
            && let Some(Value::Text(text)) = form::decode(raw)
        {
            data.push((name.clone(), text));
        }
    }
    let subject = head.subject.as_deref();
    let claims = Claims {
        id: fields.id,
        generation,
        now,
        ends_at: head.ends_at,
        subject,
        data: &data,
    };
    token::mint(&claims, &engine.policy, &engine.ring)
}
