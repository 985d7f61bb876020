//! Several cookies of one name in a request.
//!
//! A browser sends them after a change of `Path` or `Domain`, or if a sibling domain planted one.
//! A request does not carry the attributes with which each of them was set (RFC 6265, section 4.2.2).

use std::sync::atomic::AtomicU64;

use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::error::EngineError as _;
use crate::problem::{warn_now_and_then, warn_operator};
use tessera_contract::Claims;

/// Maximum number of candidates that are tried. Each costs a MAC computation, and possibly a read of the store.
pub(crate) const MAXIMUM_CANDIDATES: usize = 4;

/// Opens the only token that opens a session; `None` unless there is exactly one.
/// An outage is an error, because it leaves open which token counts.
///
/// Of two tokens of one session only the newer one is tried, because the older one would count as stolen.
pub(crate) async fn open_one<E: Engine>(
    engine: &E,
    candidates: Vec<Zeroizing<String>>,
) -> Result<Option<(E::Session, Zeroizing<String>)>, E::Error> {
    let count = candidates.len();
    let mut newest: Vec<(Claims, Zeroizing<String>)> = Vec::new();
    for token in candidates {
        let claims = match engine.verify(&token, None) {
            Ok(claims) => claims,
            Err(error) if error.kind().is_not_logged_in() => continue,
            Err(error) => return Err(error),
        };
        let age = |claims: &Claims| (claims.generation, claims.issued_at);
        match newest
            .iter_mut()
            .find(|(other, _)| other.public_id == claims.public_id)
        {
            None => newest.push((claims, token)),
            Some(known) if age(&known.0) < age(&claims) => *known = (claims, token),
            Some(_) => {}
        }
    }
    let mut opened = Vec::new();
    for (_, token) in newest {
        match engine.open(&token).await {
            Ok(session) => opened.push((session, token)),
            Err(error) if error.kind().is_not_logged_in() => warn_operator(&error),
            Err(error) => return Err(error),
        }
    }
    if opened.len() == 1 {
        return Ok(opened.pop());
    }
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    let opened = opened.len();
    warn_now_and_then(&REFUSED, |requests| {
        tracing::warn!(
            "of {count} different cookies of one name {opened} open a session: none is used ({requests} such requests so far). \
             They were set with different paths or domains, or one was planted"
        );
    });
    Ok(None)
}
