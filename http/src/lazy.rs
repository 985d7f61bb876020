//! The session of a request, opened on first use, and its settings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use crate::candidates::open_one;
use crate::engine::{Engine, EngineSession as _};
use crate::error::{EngineError, ErrorKind};
use crate::login::LoginPath;
use crate::problem::{Problem, warn_operator};
use crate::session::{ClientUpdate, Open, TokenState};
use crate::transport::{Brought, Credentials, TokenTransport, brought};

/// The settings of a layer, shared by all its requests.
#[derive(Debug)]
pub(crate) struct Settings {
    /// In order of preference; never empty.
    pub(crate) transports: Vec<TokenTransport>,
    /// The path to which a browser without a login is redirected.
    pub(crate) login: Option<Arc<LoginPath>>,
    /// Whether a response with a token also removes the cookies of earlier settings. A proxy forwards only one
    /// `Set-Cookie`.
    pub(crate) removes_twins: bool,
}

/// The session of one request, opened on first use.
pub(crate) struct LazySession<E: Engine> {
    pub(crate) engine: E,
    pub(crate) settings: Arc<Settings>,
    open: Mutex<Option<Arc<Open<E>>>>,
    /// Set when the response leaves: a session that is opened later would not be saved.
    left: AtomicBool,
    /// Set when the request's credentials are first read: from then on the response depends on them.
    looked_at: AtomicBool,
}

impl<E: Engine> LazySession<E> {
    pub(crate) fn new(engine: E, settings: Arc<Settings>) -> Self {
        Self {
            engine,
            settings,
            open: Mutex::new(None),
            left: AtomicBool::new(false),
            looked_at: AtomicBool::new(false),
        }
    }

    pub(crate) fn opened(&self) -> Option<Arc<Open<E>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Selects the request's credentials, and returns them with the index of their transport.
    pub(crate) fn brought(&self, headers: &HeaderMap) -> Option<(usize, Brought)> {
        self.looked_at.store(true, Ordering::SeqCst);
        brought(&self.settings.transports, headers)
    }

    /// Opens the session, or returns the open one. An outage is an error, never a draft.
    pub(crate) async fn open(&self, headers: &HeaderMap) -> Result<Arc<Open<E>>, E::Error> {
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        let engine = &self.engine;
        let brought = self.brought(headers);
        // Another system's credentials do not determine the transport of a Tessera token.
        let transport = match &brought {
            Some((transport, brought)) if !brought.is_foreign => Some(*transport),
            _ => None,
        };
        let refused = |kind| (engine.create(), TokenState::Refused(kind), None);
        let (session, token_state, token) = match brought.map(|(_, brought)| brought.credentials) {
            None => (engine.create(), TokenState::Absent, None),
            Some(Credentials::Token(token)) => match engine.open(&token).await {
                Ok(session) => (session, TokenState::Live, Some(token)),
                Err(error) if error.kind().is_not_logged_in() => {
                    warn_operator(&error);
                    refused(error.kind())
                }
                Err(error) => return Err(error),
            },
            Some(Credentials::Several(tokens)) => match open_one(engine, tokens).await? {
                Some((session, token)) => (session, TokenState::Live, Some(token)),
                None => refused(ErrorKind::TokenAmbiguous),
            },
            Some(Credentials::Refused(kind)) => refused(kind),
        };
        let open = Arc::new(Open::new(engine.clone(), session, token_state, transport, token));
        let mut place = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if self.left.load(Ordering::SeqCst) {
            return Err(E::Error::closed());
        }
        // If two calls opened the session concurrently, the first one wins.
        Ok(Arc::clone(place.get_or_insert(open)))
    }

    /// Saves the changes, and adds the update of the client's token to the response.
    pub(crate) async fn finish<B: From<String>>(&self, response: Response<B>) -> Response<B> {
        let mut response = self.settle(response).await;
        if self.looked_at.load(Ordering::SeqCst) {
            self.keep_from_shared_caches(response.headers_mut());
        }
        response
    }

    async fn settle<B: From<String>>(&self, mut response: Response<B>) -> Response<B> {
        let opened = {
            let opened = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            self.left.store(true, Ordering::SeqCst);
            opened.clone()
        };
        let Some(open) = opened else {
            return response;
        };
        open.leave();
        // A write that the handler has made itself, such as a login, stands whatever the response; pending changes are
        // dropped.
        if !response.status().is_server_error()
            && let Err(error) = keep(&open).await
        {
            // The handler's response would report changes that are not stored.
            response = Problem::of(&error).response();
        }
        if let Err(problem) = self.tell(&open, response.headers_mut()) {
            response = problem.response();
        }
        response
    }

    /// Reserves a response that depends on a session to its client (RFC 9111, sections 3.5 and 4.1).
    /// A `Cache-Control` that the handler has set is kept.
    fn keep_from_shared_caches(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(header::CACHE_CONTROL) {
            // A browser revalidates before it shows a page of a session that may have ended.
            let private = HeaderValue::from_static("private, no-cache");
            headers.insert(header::CACHE_CONTROL, private);
        }
        vary(
            headers,
            self.settings
                .transports
                .iter()
                .map(TokenTransport::request_header),
        );
    }

    fn tell(&self, open: &Open<E>, headers: &mut HeaderMap) -> Result<(), Problem> {
        let Some(transport) = self.settings.transports.get(open.transport.unwrap_or(0)) else {
            return Ok(());
        };
        let told = match open.update().take() {
            None => return Ok(()),
            Some(ClientUpdate::Token(grant)) => {
                let remaining = grant.ends_at.millis_since(open.engine.now());
                let token = grant.token.as_deref().unwrap_or_default();
                transport.hand_out(headers, token, remaining, self.settings.removes_twins)
            }
            Some(ClientUpdate::Ended) => transport.take_away(headers),
        };
        told.map_err(|error| {
            tracing::error!("a token cannot be handed out: {error}");
            Problem::new(500, "other", "the service failed; see its log")
        })
    }
}

/// Adds the names that are missing in `Vary`, as one header.
fn vary(headers: &mut HeaderMap, names: impl Iterator<Item = HeaderName>) {
    let mut missing: Vec<HeaderName> = Vec::new();
    for name in names {
        let lines = headers.get_all(header::VARY).iter();
        let mut named = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let stands = named.any(|other| {
            let other = other.trim_ascii();
            other == b"*" || other.eq_ignore_ascii_case(name.as_str().as_bytes())
        });
        if !stands && !missing.contains(&name) {
            missing.push(name);
        }
    }
    let missing: Vec<&str> = missing.iter().map(HeaderName::as_str).collect();
    // Header names are valid header values.
    if let (false, Ok(names)) = (missing.is_empty(), HeaderValue::try_from(missing.join(", "))) {
        headers.append(header::VARY, names);
    }
}

/// Stores pending changes; then renews, reissues and touches the session where due.
async fn keep<E: Engine>(open: &Open<E>) -> Result<(), E::Error> {
    // Fields that were set for a failed login are not stored in the session from before it.
    if open.has_failed() {
        return Ok(());
    }
    let session = open.session();
    let mut due = session.details()?;
    if due.modified {
        open.note(session.save().await?);
        // A save that had nothing to write has not extended the idle expiry.
        due = session.details()?;
    } else if due.renew_due {
        let renewed = session.save().await;
        spare(renewed.map(|grant| open.note(grant)), "renewed");
        due = session.details()?;
    }
    // A JWT can be due for reissue by its age although no renewal is.
    if due.reissue_due && open.update().is_none() {
        let reissued = session.reissue().await;
        spare(reissued.map(|grant| open.note(grant)), "reissued");
    }
    if due.touch_due {
        spare(session.touch().await, "touched");
    }
    Ok(())
}

/// Logs a failed upkeep call. The request was served nevertheless, and the next request tries again.
fn spare<T, F: EngineError>(done: Result<T, F>, what: &str) {
    if let Err(error) = done {
        tracing::warn!(code = error.kind().code(), "a session was not {what}");
    }
}
