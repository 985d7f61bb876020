//! Several session layers around one route, as where a router with a layer of its own is nested in another router with one.
//!
//! Two handles on one token in one request would hand out two tokens and lose changes.
//! So a layer takes part in the session of an outer layer that has the same engine and the same transports, has a session of its
//! own where nothing is shared, and refuses the request otherwise.

use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderValue, Uri};

use crate::engine::Engine;
use crate::lazy::{LazySession, Settings};
use crate::login::LoginPath;
use crate::problem::Problem;

/// The session that extractors of one engine's type mean here, in a request's extensions: the one of the innermost layer.
pub(crate) struct Mount<E: Engine> {
    pub(crate) slot: Arc<LazySession<E>>,
    /// Where the innermost layer sends a browser that is not logged in.
    pub(crate) login: Option<Arc<LoginPath>>,
    /// The request's path as the outermost layer has seen it; a nested router takes the first part of it away.
    target: Option<PathAndQuery>,
    /// One for each session of this request with an engine of this type, the outermost first.
    slots: Vec<Arc<LazySession<E>>>,
}

impl<E: Engine> Clone for Mount<E> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
            login: self.login.clone(),
            target: self.target.clone(),
            slots: self.slots.clone(),
        }
    }
}

impl<E: Engine> Mount<E> {
    /// Where the client of this request is sent to log in; `None` if it is answered 401.
    pub(crate) fn login(&self, parts: &Parts) -> Option<HeaderValue> {
        #[cfg(feature = "original-uri")]
        let original = parts.extensions.get::<axum::extract::OriginalUri>();
        #[cfg(feature = "original-uri")]
        let original = original.and_then(|original| original.0.path_and_query());
        #[cfg(not(feature = "original-uri"))]
        let original = None;
        let target = original.or(self.target.as_ref());
        self.login.as_ref()?.redirect(parts, target)
    }
}

/// The settings of all session layers that a request has passed, whatever the types of their engines.
#[derive(Clone, Default)]
struct Passed(Vec<Arc<Settings>>);

/// Two layers that have a cookie or a header in common, and are not the same.
#[derive(Debug, thiserror::Error)]
#[error(
    "two session layers around one route share {place}, but not the engine and all transports: \
     give both the same engine and transports, or each a cookie of its own"
)]
pub(crate) struct SharedPlace {
    place: String,
}

impl SharedPlace {
    /// What the client reads; the log says which layers have to change.
    pub(crate) fn problem(&self) -> Problem {
        tracing::error!("{self}");
        Problem::new(500, "other", "the service failed; its log says more")
    }
}

/// Puts the session of a layer into a request's extensions. Answers the slot that this layer has to finish; none where an outer
/// layer does.
pub(crate) fn enter<E: Engine>(
    engine: &E,
    settings: &Arc<Settings>,
    uri: &Uri,
    extensions: &mut Extensions,
) -> Result<Option<Arc<LazySession<E>>>, SharedPlace> {
    let outer = extensions.get::<Mount<E>>();
    let mut slots = outer.map(|mount| mount.slots.clone()).unwrap_or_default();
    let target = match outer {
        Some(mount) => mount.target.clone(),
        None => uri.path_and_query().cloned(),
    };
    let same = |slot: &&Arc<LazySession<E>>| {
        slot.engine.is_same(engine) && slot.settings.transports == settings.transports
    };
    if let Some(slot) = slots.iter().find(same).map(Arc::clone) {
        let login = settings.login.clone().or_else(|| slot.settings.login.clone());
        extensions.insert(Mount {
            slot,
            login,
            target,
            slots,
        });
        return Ok(None);
    }
    let passed = extensions.get_or_insert_default::<Passed>();
    let outer = passed.0.iter().flat_map(|settings| &settings.transports);
    for transport in outer {
        if settings.transports.iter().any(|own| own.meets(transport)) {
            let place = transport.to_string();
            return Err(SharedPlace { place });
        }
    }
    passed.0.push(Arc::clone(settings));
    let slot = Arc::new(LazySession::new(engine.clone(), Arc::clone(settings)));
    slots.push(Arc::clone(&slot));
    extensions.insert(Mount {
        slot: Arc::clone(&slot),
        login: settings.login.clone(),
        target,
        slots,
    });
    Ok(Some(slot))
}
