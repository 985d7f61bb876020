//! The demonstration at `/`, where the configuration asks for it.
//!
//! Whoever reaches it signs in as anybody. So it has a key and a space in the store of its own: what is signed there, `/v1` and
//! `/auth` refuse, and no record of it is among theirs.

use std::time::Duration;

use axum::Router;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;
use tessera_http::demo::{AGENT, Demo};
use tessera_http::{Cookie, CookieError};
use worker::Delay;

use crate::boxed::boxed;
use crate::driver::wit::SigningKey;
use crate::driver::{Driver, Setup};
use crate::engine::EdgeEngine;

/// Stands before the name of everything that it stores.
pub(crate) const SPACE: &str = "demo/";
/// Not that of the service: a browser may hold both.
const COOKIE: &str = "__Host-tessera-demo";
const KEY_ID: &str = "demo";
/// What its key is derived for.
const PURPOSE: &[u8] = b"tessera demonstration 1";

/// The service's policy, so that its timeouts can be seen, with a key of its own. All isolates have to agree on that key, so it
/// is derived; it tells nothing of the key that it is derived from.
pub(crate) fn setup(service: &Setup) -> Result<Setup, InvalidLength> {
    let first = service.keys.first().map(|key| key.secret.as_slice());
    let mut mac = Hmac::<Sha256>::new_from_slice(first.unwrap_or_default())?;
    mac.update(PURPOSE);
    let mut changes: Map<String, Value> = service.changes.clone();
    changes.insert("publicFields".into(), [AGENT].into_iter().collect());
    changes.insert("tokenFields".into(), Value::Array(Vec::new()));
    Ok(Setup {
        preset: service.preset.clone(),
        changes,
        least_grace_ms: service.least_grace_ms,
        keys: vec![SigningKey {
            id: KEY_ID.into(),
            secret: mac.finalize().into_bytes().to_vec(),
        }],
        capabilities: service.capabilities.clone(),
    })
}

/// Its routes.
pub(crate) fn router(driver: Driver) -> Result<Router, CookieError> {
    let grace = Duration::from_millis(driver.terms().rotation_grace_ms);
    let cookie = Cookie::builder().name(COOKIE).build()?;
    let pause = |time: Duration| boxed(async move { Delay::from(time).await });
    Ok(Demo::new(EdgeEngine::new(driver), cookie, grace, pause).router())
}
