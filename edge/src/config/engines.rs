//! The engines of an isolate: of the service, of its connections, and of the demonstration.

use std::cell::RefCell;

use tessera_contract::millis;
use worker::Env;

use super::variables::{DEMO, KEYS};
use super::{ConfigError, document, keys, open, policy, preset, store_kind, store_timeout, variable};
use crate::driver::{Driver, Setup};
use crate::engine::EdgeEngine;
use crate::store::{CONNECTIONS_BINDING, StoreKind, StoreService as _};
use crate::{demo, registry};

thread_local! {
    /// Created by the first request, or by the first call of an object.
    static ENGINES: RefCell<Option<Engines>> = const { RefCell::new(None) };
}

/// The engines. They hold no state of a request.
#[derive(Clone)]
pub(crate) struct Engines {
    pub(crate) service: EdgeEngine,
    /// The registry of connections, if the Worker has them.
    pub(crate) registry: Option<EdgeEngine>,
    /// The engine of the demonstration, if that is enabled.
    pub(crate) demo: Option<EdgeEngine>,
}

/// Returns the engines of the isolate.
pub(crate) fn engines(env: &Env) -> Result<Engines, ConfigError> {
    if let Some(known) = ENGINES.with_borrow(Option::clone) {
        return Ok(known);
    }
    let read = read(env)?;
    ENGINES.set(Some(read.clone()));
    Ok(read)
}

fn read(env: &Env) -> Result<Engines, ConfigError> {
    let kind = store_kind(env)?;
    let store = open(env, kind, "")?;
    let capabilities = store.describe();
    let setup = Setup {
        preset: preset(env)?,
        changes: policy(env)?,
        // A cache may show a replaced token for its maximum staleness.
        least_grace_ms: match kind {
            StoreKind::Combined => millis(capabilities.maximum_staleness),
            StoreKind::Durable | StoreKind::Kv => 0,
        },
        keys: keys(&document(env, KEYS).ok_or(ConfigError::NoSecret(KEYS))?)?,
        capabilities,
    };
    let timeout_ms = store_timeout(env)?;
    let demo = variable(env, DEMO).map(|demo| demo.switch()).transpose()?;
    let demo = demo
        .unwrap_or_default()
        .then(|| demo::setup(&setup))
        .transpose()
        .map_err(|_| ConfigError::Keys("the first key is refused".into()))?;
    let has_connections = kind != StoreKind::Kv && env.durable_object(CONNECTIONS_BINDING).is_ok();
    let registry = has_connections.then(|| registry::setup(&setup));
    // The service's engine comes first, so that an invalid setting is reported as the service's.
    let service = EdgeEngine::new(Driver::new(setup, store, timeout_ms)?);
    let beside = |setup: Option<Setup>, space| {
        let made = setup.map(|setup| {
            let store = open(env, kind, space)?;
            let driver = Driver::new(setup, store, timeout_ms)?;
            Ok::<_, ConfigError>(EdgeEngine::new(driver))
        });
        made.transpose()
    };
    Ok(Engines {
        service,
        registry: beside(registry, registry::SPACE)?,
        demo: beside(demo, demo::SPACE)?,
    })
}
