//! The demonstration at `/`, if the configuration enables it.
//!
//! Every visitor can sign in under any name.
//! So the demonstration has its own key and its own space in the store: `/v1` and `/auth` refuse its tokens, and its
//! records are separate from theirs.

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
use crate::driver::Setup;
use crate::driver::wit::SigningKey;
use crate::engine::EdgeEngine;

/// The prefix of all names in its store.
pub(crate) const SPACE: &str = "demo/";
/// Different from the service's cookie, because a browser may have both.
const COOKIE: &str = "__Host-tessera-demo";
const KEY_ID: &str = "demo";
/// The context string of the key derivation.
const PURPOSE: &[u8] = b"tessera demonstration 1";

/// Returns the service's policy, so that the demonstration shows its timeouts, with a key of its own.
///
/// That key is derived with HMAC-SHA256 from the service's first key, because all isolates must have the same one.
/// It reveals nothing about the service's key.
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

/// Returns the routes of the demonstration.
pub(crate) fn router(engine: EdgeEngine) -> Result<Router, CookieError> {
    let grace = Duration::from_millis(engine.driver().terms().rotation_grace_ms);
    let cookie = Cookie::builder().name(COOKIE).build()?;
    let pause = |time: Duration| boxed(async move { Delay::from(time).await });
    Ok(Demo::new(engine, cookie, grace, pause).router())
}
