//! The session of a request: opened when it is first asked for, saved when the response leaves.

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
use tessera_contract::{Details, Grant, KeepFields, SessionPage};

/// The fields that hold flash messages begin so.
const FLASH_FIELDS: &str = "_flash.";
const MAXIMUM_FLASHES: usize = 16;

/// What the request brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// No token.
    Absent,
    /// A token that opens nothing, and why. The session is an empty draft.
    Refused(ErrorKind),
    /// The token of a live session.
    Live,
}

/// The session of a request, as a handler takes it from its arguments.
///
/// A request without a token, or with one that opens nothing, has an empty draft: it is stored, and a token handed out, only
/// if something was set. Changes are saved before the response leaves, unless it is a server error (5xx), or the last call
/// that stores ([`Session::save`], [`Session::authenticate`] and their kin) has failed: what was set for a login is not
/// stored in the session from before it. After [`Session::destroy`] the session is an empty draft again, so that a message or
/// another login finds a place.
///
/// # After the response
///
/// Once the response has left, what it was served with can still be read, as in a body that is streamed, and every change
/// answers an error of the kind [`ErrorKind::Closed`]. A change that a task of the handler's has under way then is not waited for.
///
/// It shows the session as it was when the request was served, however long it is kept. A handler that goes on for long
/// (server-sent events, a WebSocket) keeps [`Session::token`] in its place, and opens it at the engine whenever it wants to know
/// how things stand:
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
/// Where tokens are renewed, another request may have brought the client a newer one meanwhile: the one that was kept counts
/// as stolen once the grace is over. Such a handler ends its stream before that, so that the client connects anew, or asks
/// [`Session::devices`]: there the session stands as `current` for as long as it lives, whichever its token is.
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
            .field("arrival", &self.open.token_state)
            .finish_non_exhaustive()
    }
}

/// The open session, and what the response is to tell the client of it.
pub(crate) struct Open<E: Engine> {
    pub(crate) engine: E,
    /// Another one after the end of the first.
    session: RwLock<Arc<E::Session>>,
    pub(crate) token_state: TokenState,
    /// Which transport the token came in, if there was one.
    pub(crate) transport: Option<usize>,
    /// Set when the response leaves. Held for reading while a field is changed, so that a change is saved or refused.
    left: RwLock<bool>,
    /// Whether the last call that stores has failed: then nothing is stored that the handler does not ask for again.
    failed: AtomicBool,
    update: Mutex<Option<ClientUpdate>>,
    /// The token that the client has once it has the response, if it is one that opens the session.
    token: Mutex<Option<Zeroizing<String>>>,
}

/// What the client is to be told.
#[derive(Clone, Debug)]
pub(crate) enum ClientUpdate {
    /// Here is a token.
    Token(Grant),
    /// The one you have is no good any more.
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

    /// From here on every call of a handler is refused.
    pub(crate) fn leave(&self) {
        *self.left.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    pub(crate) fn session(&self) -> Arc<E::Session> {
        Arc::clone(&self.session.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn token(&self) -> MutexGuard<'_, Option<Zeroizing<String>>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the session has ended, and puts an empty draft in its place.
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

    /// Notes how a call that stores ends. Until it has, and if it is dropped before, it counts as failed.
    async fn ends<T, F>(&self, call: impl Future<Output = Result<T, F>>) -> Result<T, F> {
        self.failed.store(true, Ordering::SeqCst);
        let ended = call.await;
        self.failed.store(ended.is_err(), Ordering::SeqCst);
        ended
    }

    /// Notes what a write handed back.
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

    /// Reads what the session held when it was opened, or has been given since.
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

    /// What the request brought.
    pub fn token_state(&self) -> TokenState {
        self.open.token_state
    }

    /// Reads one field as a Rust type; `None` if there is no such field.
    ///
    /// # Errors
    /// If the field is of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, E::Error> {
        self.read(|session| session.get(name))
    }

    /// Sets one field to any value that serde can write.
    ///
    /// # Errors
    /// If name or value is unfit, a limit is passed, or the response has left.
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), E::Error> {
        self.at_once(|session| session.set(name, value))
    }

    /// Removes a field, and answers whether it was there.
    ///
    /// # Errors
    /// If the response has left.
    pub fn remove(&self, name: &str) -> Result<bool, E::Error> {
        self.at_once(|session| session.remove(name))
    }

    /// Reads a field and removes it.
    ///
    /// # Errors
    /// As [`Session::get`], and if the response has left. A field of another type is removed all the same.
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

    /// All fields as one JSON object, in the form the record has.
    ///
    /// # Errors
    /// If another call on the session is not finished.
    pub fn entries_json(&self) -> Result<String, E::Error> {
        self.read(|session| session.entries_json())
    }

    /// The token that the client has once it has the response: the one that this request hands out, or else the one that it
    /// came with. `None` for a session that was never stored. A session that is stored, renewed or reissued only when the
    /// response leaves gets its token then: [`Session::save`] does it at once.
    ///
    /// It opens the session for whoever has it: it belongs into no log and no URL.
    pub fn token(&self) -> Option<String> {
        self.open.token().as_ref().map(|token| token.to_string())
    }

    /// What is known of the session without asking the store.
    ///
    /// # Errors
    /// If another call on the session is not finished.
    pub fn details(&self) -> Result<Details, E::Error> {
        self.read(|session| session.details())
    }

    /// Whom the session stands for.
    ///
    /// # Errors
    /// As [`Session::details`].
    pub fn subject(&self) -> Result<Option<String>, E::Error> {
        Ok(self.details()?.subject)
    }

    /// Whether the subject authenticated within this time, as a step-up asks before what is dangerous.
    ///
    /// # Errors
    /// As [`Session::details`].
    pub fn authenticated_within(&self, age: Duration) -> Result<bool, E::Error> {
        Ok(self.details()?.authenticated_within(age, self.open.engine.now()))
    }

    /// Leaves a message for the next page that takes it; of more than 16 the oldest goes.
    ///
    /// # Errors
    /// As [`Session::set`].
    pub fn flash(&self, message: &str) -> Result<(), E::Error> {
        // A field for each, so that two requests at once lose none.
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

    /// Takes the messages that were left, the oldest first; each is shown once.
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

    /// Stores the changes now rather than when the response leaves, so that they hold whatever the response becomes.
    ///
    /// # Errors
    /// Those of the engine's `save`.
    pub async fn save(&self) -> Result<(), E::Error> {
        self.check()?;
        let session = self.open.session();
        self.open.note(self.open.ends(session.save()).await?);
        Ok(())
    }

    /// Saves, and renews the token. Other tabs with the old one are served until shortly after the first use of the new.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub async fn rotate(&self) -> Result<(), E::Error> {
        self.check()?;
        let session = self.open.session();
        self.open.note(self.open.ends(session.rotate()).await?);
        Ok(())
    }

    /// Logs a subject in. The old token ends at once, and of the stored fields none is kept;
    /// fields set in this request are.
    ///
    /// # Errors
    /// As [`Session::save`]; if the subject is unfit, or has as many sessions as allowed.
    pub async fn authenticate(&self, subject: &str) -> Result<(), E::Error> {
        self.authenticate_keeping(subject, &KeepFields::Nothing).await
    }

    /// Logs a subject in, or confirms who it is, and keeps some of the stored fields.
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

    /// Logs out: ends the session, and takes the token from the client. What is done with the session after it, as
    /// [`Session::flash`] or another login, makes a new one.
    ///
    /// # Errors
    /// Those of the engine's `destroy`.
    pub async fn destroy(&self) -> Result<(), E::Error> {
        self.check()?;
        let session = self.open.session();
        self.open.ends(session.destroy()).await?;
        self.open.begin_anew();
        Ok(())
    }

    /// A token against cross-site request forgery, for forms and scripts of this session. Empty for a draft: there is nothing
    /// to forge yet, and [`CsrfLayer`](crate::CsrfLayer) asks for none.
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

    /// One page of the sessions of this one's subject, for a page "your devices"; none if nobody is logged in.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn devices(&self, cursor: Option<&str>) -> Result<SessionPage, E::Error> {
        let details = self.details()?;
        match &details.subject {
            Some(subject) => {
                let current = Some(details.public_id.as_str());
                self.open.engine.list(subject, current, cursor).await
            }
            None => Ok(SessionPage::default()),
        }
    }

    /// Ends one session of the same subject, named by its public id; answers whether it was there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revoke(&self, public_id: &str) -> Result<bool, E::Error> {
        self.check()?;
        match self.subject()? {
            Some(subject) => self.open.engine.revoke(&subject, public_id).await,
            None => Ok(false),
        }
    }

    /// Logs out everywhere else; answers how many sessions were ended.
    ///
    /// # Errors
    /// Those of the store; if nobody is logged in.
    pub async fn revoke_others(&self) -> Result<u64, E::Error> {
        self.check()?;
        let session = self.open.session();
        self.open.engine.revoke_others(&session).await
    }
}

/// The fields that hold flash messages, the oldest first.
fn flashes<E: Engine>(session: &E::Session) -> Result<Vec<String>, E::Error> {
    let fields = session.entries_json()?;
    if !fields.contains(FLASH_FIELDS) {
        return Ok(Vec::new());
    }
    // What the engine writes is an object; names come ordered.
    let fields: BTreeMap<String, IgnoredAny> = serde_json::from_str(&fields).unwrap_or_default();
    let names = fields.into_keys();
    Ok(names.filter(|name| name.starts_with(FLASH_FIELDS)).collect())
}

/// Sets two messages of one millisecond apart, in one process and, most likely, in two.
fn salt() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    RandomState::new().hash_one(next) as u32
}
