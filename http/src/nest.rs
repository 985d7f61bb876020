//! Several session layers around one route, for example a router with a layer nested in another router with one.
//!
//! Two handles for one token in one request would hand out two tokens and lose changes.
//! Therefore a layer shares the session of an outer layer with the same engine and the same transports, has a session of
//! its own if it shares no cookie or header with an outer layer, and refuses the request otherwise.

use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderValue, Uri};

use crate::engine::Engine;
use crate::lazy::{LazySession, Settings};
use crate::login::LoginPath;
use crate::problem::Problem;

/// In a request's extensions: the session for extractors of one engine type, which is that of the innermost layer.
pub(crate) struct Mount<E: Engine> {
    pub(crate) slot: Arc<LazySession<E>>,
    /// The path to which the innermost layer redirects a browser without a login.
    pub(crate) login: Option<Arc<LoginPath>>,
    /// The request's path as seen by the outermost layer. A nested router strips its prefix.
    target: Option<PathAndQuery>,
    /// All sessions of this request with an engine of this type, outermost first.
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
    /// The login address for the client of this request; `None` if the response is a 401.
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

/// The settings of all session layers that a request has passed, whatever their engine types.
#[derive(Clone, Default)]
struct Passed(Vec<Arc<Settings>>);

/// Two layers that share a cookie or a header, but not the engine and all transports.
#[derive(Debug, thiserror::Error)]
#[error(
    "two session layers around one route share {place}, but not the engine and all transports: \
     give both the same engine and transports, or each a cookie of its own"
)]
pub(crate) struct SharedPlace {
    place: String,
}

impl SharedPlace {
    /// The problem for the client. The log names what the layers share.
    pub(crate) fn problem(&self) -> Problem {
        tracing::error!("{self}");
        Problem::new(500, "other", "the service failed; see its log")
    }
}

/// Adds the session of a layer to a request's extensions.
/// Returns the session if this layer must finish it, `None` if an outer layer does.
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
