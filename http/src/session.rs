//! The session of a request: opened on first use, saved before the response is sent.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use crate::engine::{Engine, EngineSession as _};
use crate::error::{EngineError as _, ErrorKind};
use tessera_contract::{Details, Grant, KeepFields, PageRequest, SessionPage};

/// Prefix of the fields that hold flash messages.
const FLASH_FIELDS: &str = "_flash.";
const MAXIMUM_FLASHES: usize = 16;

/// The state of the token that a request carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The request carried no token.
    Absent,
    /// The token opens no session, for this reason. The session is an empty draft.
    Refused(ErrorKind),
    /// The token of a live session.
    Live,
}

/// The session of a request, as a handler receives it from its arguments.
///
/// A request without a token, or with a token that opens no session, gets an empty draft.
/// A draft is stored, and its token handed out, only if a field was set.
///
/// Changes are saved before the response leaves, unless the response is a server error (5xx) or the last storing call
/// ([`Session::save`], [`Session::rotate`], [`Session::authenticate`], [`Session::destroy`]) failed: fields that were set
/// for a login must not be stored in the session from before it.
///
/// After [`Session::destroy`] the session is an empty draft again, so a flash message or another login starts a new
/// session.
///
/// # After the response
///
/// Once the response has left, the session can still be read, for example by a streamed body.
/// Every change then returns an error of the kind [`ErrorKind::Closed`].
/// A change that a task of the handler has in progress at that moment is not awaited.
///
/// The session shows its state at the time of the request, however long it is kept.
/// A long-running handler (server-sent events, a WebSocket) keeps [`Session::token`] instead, and opens it with the engine
/// whenever it needs the current state:
///
/// ```ignore
/// async fn socket(
///     State(sessions): State<Sessions>,
///     LoggedIn { session, .. }: LoggedIn,
///     upgrade: WebSocketUpgrade,
/// ) -> Response {
///     let token = session.token();
///     upgrade.on_upgrade(async move |mut socket| {
///         let Some(token) = token else { return };
///         while let Some(Ok(message)) = socket.recv().await {
///             // A logout ends the conversation, and so does an outage.
///             let Ok(session) = sessions.open(&token).await else { return };
///             answer(&mut socket, &session, message).await;
///         }
///     })
/// }
/// ```
///
/// If tokens are renewed, another request may give the client a newer token in the meantime.
/// Once the grace period is over, use of the kept token counts as theft.
/// Such a handler ends its stream before that, so that the client reconnects, or calls [`Session::devices`], which lists
/// the session as `current` for as long as it lives, whatever its token is.
pub struct Session<E: Engine> {
    open: Arc<Open<E>>,
}

impl<E: Engine> Clone for Session<E> {
    fn clone(&self) -> Self {
        Self {
            open: Arc::clone(&self.open),
        }
    }
}

impl<E: Engine> fmt::Debug for Session<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("token_state", &self.open.token_state)
            .finish_non_exhaustive()
    }
}

/// The open session, and the pending update of the client's token.
pub(crate) struct Open<E: Engine> {
    pub(crate) engine: E,
    /// Replaced by an empty draft when the session ends.
    session: RwLock<Arc<E::Session>>,
    pub(crate) token_state: TokenState,
    /// Index of the transport that carried the token, if there was a token.
    pub(crate) transport: Option<usize>,
    /// Set when the response leaves. Held for reading while a field is changed, so that a change is saved or refused.
    left: RwLock<bool>,
    /// Whether the last storing call failed. Pending changes are then not stored when the response leaves.
    failed: AtomicBool,
    update: Mutex<Option<ClientUpdate>>,
    /// The token that the client has once it has received the response; `None` if that token opens no session.
    token: Mutex<Option<Zeroizing<String>>>,
}

/// The update of the client's token that the response carries.
#[derive(Clone, Debug)]
pub(crate) enum ClientUpdate {
    /// A new token.
    Token(Grant),
    /// The client's token is no longer valid.
    Ended,
}

impl<E: Engine> Open<E> {
    pub(crate) fn new(
        engine: E,
        session: E::Session,
        token_state: TokenState,
        transport: Option<usize>,
        token: Option<Zeroizing<String>>,
    ) -> Self {
        Self {
            engine,
            session: RwLock::new(Arc::new(session)),
            token_state,
            transport,
            token: Mutex::new(token),
            left: RwLock::new(false),
            failed: AtomicBool::new(false),
            update: Mutex::new(None),
        }
    }

    /// Refuses every later change by a handler.
    pub(crate) fn leave(&self) {
        *self.left.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    pub(crate) fn session(&self) -> Arc<E::Session> {
        Arc::clone(&self.session.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn token(&self) -> MutexGuard<'_, Option<Zeroizing<String>>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the session has ended, and replaces it with an empty draft.
    fn begin_anew(&self) {
        *self.update() = Some(ClientUpdate::Ended);
        *self.token() = None;
        let draft = Arc::new(self.engine.create());
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = draft;
    }

    pub(crate) fn update(&self) -> MutexGuard<'_, Option<ClientUpdate>> {
        self.update.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Records whether a storing call fails. A call counts as failed until it completes, and if it is dropped before.
    async fn ends<T, F>(&self, call: impl Future<Output = Result<T, F>>) -> Result<T, F> {
        self.failed.store(true, Ordering::SeqCst);
        let ended = call.await;
        self.failed.store(ended.is_err(), Ordering::SeqCst);
        ended
    }

    /// Records the token that a write returned.
    pub(crate) fn note(&self, grant: Grant) {
        if let Some(token) = &grant.token {
            *self.token() = Some(Zeroizing::new(token.clone()));
            *self.update() = Some(ClientUpdate::Token(grant));
        }
    }
}

impl<E: Engine> Session<E> {
    pub(crate) fn new(open: Arc<Open<E>>) -> Self {
        Self { open }
    }

    /// Reads the session as it was opened, with the changes made since.
    fn read<T>(&self, call: impl FnOnce(&E::Session) -> Result<T, E::Error>) -> Result<T, E::Error> {
        call(&self.open.session())
    }

    fn at_once<T>(&self, call: impl FnOnce(&E::Session) -> Result<T, E::Error>) -> Result<T, E::Error> {
        let left = self.open.left.read().unwrap_or_else(PoisonError::into_inner);
        if *left {
            Err(E::Error::closed())
        } else {
            call(&self.open.session())
        }
    }

    fn check(&self) -> Result<(), E::Error> {
        self.at_once(|_| Ok(()))
    }

    /// The state of the token that the request carried.
    pub fn token_state(&self) -> TokenState {
        self.open.token_state
    }

    /// Reads one field as a Rust type; `None` if there is no such field.
    ///
    /// # Errors
    /// If the field has another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, E::Error> {
        self.read(|session| session.get(name))
    }

    /// Sets one field to any value that serde can serialise.
    ///
    /// # Errors
    /// If the name or value is invalid, a limit is exceeded, or the response has left.
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), E::Error> {
        self.at_once(|session| session.set(name, value))
    }

    /// Removes a field; returns whether it existed.
    ///
    /// # Errors
    /// If the response has left.
    pub fn remove(&self, name: &str) -> Result<bool, E::Error> {
        self.at_once(|session| session.remove(name))
    }

    /// Reads a field and removes it; `None` if there is no such field.
    ///
    /// # Errors
    /// As [`Session::get`], and if the response has left. A field of another type is removed nevertheless.
    pub fn pop<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, E::Error> {
        self.at_once(|session| {
            let value = session.get(name);
            session.remove(name)?;
            value
        })
    }

    /// Removes all fields.
    ///
    /// # Errors
    /// If the response has left.
    pub fn clear(&self) -> Result<(), E::Error> {
        self.at_once(|session| session.clear())
    }

    /// Returns all fields as one JSON object, in the form of the stored record.
    ///
    /// # Errors
    /// If another call on the session is in progress.
    pub fn entries_json(&self) -> Result<String, E::Error> {
        self.read(|session| session.entries_json())
    }

    /// The token that the client has once it has received the response: the token that this request hands out, or else the
    /// token that it carried.
    ///
    /// `None` for a session that is not stored.
    /// A session that is stored, renewed or reissued only when the response leaves gets its token then; [`Session::save`]
    /// does this at once.
    ///
    /// The token opens the session for anyone who holds it: keep it out of logs and URLs.
    pub fn token(&self) -> Option<String> {
        self.open.token().as_ref().map(|token| token.to_string())
    }

    /// The session's details, without a call to the store.
    ///
    /// # Errors
    /// If another call on the session is in progress.
    pub fn details(&self) -> Result<Details, E::Error> {
        self.read(|session| session.details())
    }

    /// The subject that is logged in; `None` if nobody is.
    ///
    /// # Errors
    /// As [`Session::details`].
    pub fn subject(&self) -> Result<Option<String>, E::Error> {
        Ok(self.details()?.subject)
    }

    /// Whether the subject authenticated within `age`, for step-up checks before sensitive actions.
    ///
    /// # Errors
    /// As [`Session::details`].
    pub fn authenticated_within(&self, age: Duration) -> Result<bool, E::Error> {
        Ok(self.details()?.authenticated_within(age, self.open.engine.now()))
    }

    /// Leaves a message for the next page that calls [`Session::take_flash`]. Beyond 16 messages, the oldest is dropped.
    ///
    /// # Errors
    /// As [`Session::set`].
    pub fn flash(&self, message: &str) -> Result<(), E::Error> {
        // One field for each message, so that two concurrent requests lose none.
        let name = format!(
            "{FLASH_FIELDS}{:015}.{:08x}",
            self.open.engine.now().as_millis(),
            salt()
        );
        self.at_once(|session| {
            let waiting = flashes::<E>(session)?;
            let excess = (waiting.len() + 1).saturating_sub(MAXIMUM_FLASHES);
            for oldest in &waiting[..excess] {
                session.remove(oldest)?;
            }
            session.set(&name, message)
        })
    }

    /// Takes the messages left by [`Session::flash`], oldest first. Each message is returned once.
    ///
    /// # Errors
    /// As [`Session::pop`].
    pub fn take_flash(&self) -> Result<Vec<String>, E::Error> {
        self.at_once(|session| {
            let mut messages = Vec::new();
            for name in flashes::<E>(session)? {
                messages.extend(session.get::<String>(&name)?);
                session.remove(&name)?;
            }
            Ok(messages)
        })
    }

    /// Stores the changes now instead of when the response leaves, so that they persist whatever the response becomes.
    ///
    /// # Errors
    /// Those of the engine's `save`; [`ErrorKind::Closed`] if the response has left.
    pub async fn save(&self) -> Result<(), E::Error> {
        self.check()?;
        let session = self.open.session();
        self.open.note(self.open.ends(session.save()).await?);
        Ok(())
    }

    /// Saves, and renews the token. Other tabs with the old token are served until shortly after the first use of the new
    /// one.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub async fn rotate(&self) -> Result<(), E::Error> {
        self.check()?;
        let session = self.open.session();
        self.open.note(self.open.ends(session.rotate()).await?);
        Ok(())
    }

    /// Logs a subject in. The old token ends at once.
    /// None of the stored fields is kept; fields set in this request are.
    ///
    /// # Errors
    /// As [`Session::save`]; also if the subject is invalid or has the maximum number of sessions already.
    pub async fn authenticate(&self, subject: &str) -> Result<(), E::Error> {
        self.authenticate_keeping(subject, &KeepFields::Nothing).await
    }

    /// Logs a subject in, or confirms its identity, and keeps some of the stored fields.
    ///
    /// # Errors
    /// As [`Session::authenticate`].
    pub async fn authenticate_keeping(&self, subject: &str, keep: &KeepFields) -> Result<(), E::Error> {
        self.check()?;
        let session = self.open.session();
        let granted = self.open.ends(session.authenticate(subject, keep));
        self.open.note(granted.await?);
        Ok(())
    }

    /// Logs out: ends the session, and removes the token from the client.
    /// A later change, such as [`Session::flash`] or another login, starts a new session.
    ///
    /// # Errors
    /// Those of the engine's `destroy`; [`ErrorKind::Closed`] if the response has left.
    pub async fn destroy(&self) -> Result<(), E::Error> {
        self.check()?;
        let session = self.open.session();
        self.open.ends(session.destroy()).await?;
        self.open.begin_anew();
        Ok(())
    }

    /// A token against cross-site request forgery, for forms and scripts of this session.
    /// Empty for a draft, from which [`CsrfLayer`](crate::CsrfLayer) requires no token, because there is nothing to forge
    /// yet.
    ///
    /// # Errors
    /// If the session has ended.
    pub fn csrf_token(&self) -> Result<String, E::Error> {
        match self.read(|session| session.csrf_token()) {
            Err(error) if error.kind() == ErrorKind::Draft => Ok(String::new()),
            token => token,
        }
    }

    pub(crate) fn check_csrf_token(&self, token: &str) -> Result<(), E::Error> {
        self.at_once(|session| session.check_csrf_token(token))
    }

    /// Lists one page of the sessions of this session's subject, for a page such as "your devices".
    /// `cursor` is the `next` of the previous page, `None` for the first one. The page is empty if nobody is logged in.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn devices(&self, cursor: Option<&str>) -> Result<SessionPage, E::Error> {
        let details = self.details()?;
        match &details.subject {
            Some(subject) => {
                let current = Some(details.public_id.as_str());
                let page = PageRequest { current, cursor };
                self.open.engine.list(subject, page).await
            }
            None => Ok(SessionPage::default()),
        }
    }

    /// Ends one session of the same subject, given its public id; returns whether it existed.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::Closed`] if the response has left.
    pub async fn revoke(&self, public_id: &str) -> Result<bool, E::Error> {
        self.check()?;
        match self.subject()? {
            Some(subject) => self.open.engine.revoke(&subject, public_id).await,
            None => Ok(false),
        }
    }

    /// Ends all other sessions of the subject; returns their number.
    ///
    /// # Errors
    /// Those of the store; [`ErrorKind::SubjectRequired`] if nobody is logged in.
    pub async fn revoke_others(&self) -> Result<u64, E::Error> {
        self.check()?;
        let session = self.open.session();
        self.open.engine.revoke_others(&session).await
    }
}

/// The names of the fields that hold flash messages, oldest first.
fn flashes<E: Engine>(session: &E::Session) -> Result<Vec<String>, E::Error> {
    let fields = session.entries_json()?;
    if !fields.contains(FLASH_FIELDS) {
        return Ok(Vec::new());
    }
    // The engine writes an object, and the map orders the names.
    let fields: BTreeMap<String, IgnoredAny> = serde_json::from_str(&fields).unwrap_or_default();
    let names = fields.into_keys();
    Ok(names.filter(|name| name.starts_with(FLASH_FIELDS)).collect())
}

/// Distinguishes two messages of one millisecond, within one process and, with high probability, between two.
fn salt() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    RandomState::new().hash_one(next) as u32
}
