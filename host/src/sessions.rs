//! [`Sessions`]: creates and opens sessions, with a policy, keys and a store.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::driver::{BegunWrites, Calls, Component, Queues, ReplayLog, Setup, Sources};
use crate::error::{ConfigurationError, SessionError, TokenFault};
use crate::keys::SigningKey;
use crate::limits::{check_argument, check_subject};
use crate::policy::{Policy, Preset};
use crate::session::Session;
use crate::store::StoreService;
use crate::summary;
use tessera_contract::opens::Opens;
use tessera_contract::{Claims, PageRequest, SessionPage, Timestamp, millis};

/// Default number of writers of each rank that may wait for one record.
const QUEUE_PLACES: usize = 1024;
/// Default number of remembered opens, and their default size in bytes.
const REMEMBERED_SESSIONS: usize = 65_536;
const REMEMBERED_BYTES: usize = 64 << 20;

/// Creates and opens sessions. Cheap to clone, and usable from any number of threads.
///
/// ```
/// use std::time::Duration;
/// use tessera::{Sessions, store::MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = [7; 32];
/// let sessions = Sessions::builder()
///     .signing_key("2026-11", secret)
///     .idle_timeout(Duration::from_secs(30 * 60))
///     .build(MemoryStore::new())?;
///
/// let login = sessions.create();
/// login.set("role", "admin")?;
/// let token = login.authenticate("alice").await?.token.expect("a login hands out a token");
///
/// let session = sessions.open(&token).await?;
/// assert_eq!(session.get::<String>("role")?, Some("admin".into()));
/// assert_eq!(session.subject()?.as_deref(), Some("alice"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Sessions {
    calls: Arc<Calls>,
    policy: Arc<Policy>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Starts a configuration with the default policy, the embedded component and no key.
    ///
    /// # Errors
    /// [`ConfigurationError::Component`] if the embedded component does not run on this machine;
    /// [`ConfigurationError::Instantiate`].
    pub fn builder() -> SessionsBuilder {
        SessionsBuilder::new(Component::embedded().map_err(Into::into))
    }

    /// Starts a configuration with a component other than the embedded one.
    ///
    /// # Errors
    /// [`ConfigurationError::Instantiate`].
    pub fn builder_with(component: Component) -> SessionsBuilder {
        SessionsBuilder::new(Ok(component))
    }

    /// Whether both come from the same call of [`SessionsBuilder::build`].
    #[cfg(feature = "http")]
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.calls, &other.calls)
    }

    /// Creates a second engine over the same component, store, clock, random source and keys, with changes to the policy.
    #[cfg(feature = "connections")]
    pub(crate) fn beside(&self, change: impl FnOnce(&mut Policy)) -> Result<Self, ConfigurationError> {
        let mut policy = (*self.policy).clone();
        change(&mut policy);
        Ok(Self {
            calls: Arc::new(self.calls.beside(policy.to_wit())?),
            policy: Arc::new(policy),
        })
    }

    #[cfg(feature = "connections")]
    pub(crate) fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The time of the clock that determines expiry, for [`Details::authenticated_within`](crate::Details).
    pub fn now(&self) -> Timestamp {
        self.calls.now()
    }

    /// The writes that calls have begun, for a program that waits for them before it ends.
    pub fn begun_writes(&self) -> BegunWrites {
        self.calls.begun().writes()
    }

    /// Creates a draft: an empty session that is not stored until it is saved.
    pub fn create(&self) -> Session {
        Session::draft(Arc::clone(&self.calls))
    }

    /// Opens the session that a token names.
    ///
    /// Every call reads the store. The engine is skipped if it has recently opened the same token, and neither the record nor
    /// the time can change its decision.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`], [`SessionError::Expired`], [`SessionError::Missing`], [`SessionError::Replaced`],
    /// [`SessionError::Reused`], and the errors of the store ([`SessionError::is_outage`]).
    pub async fn open(&self, token: &str) -> Result<Session, SessionError> {
        self.check_length(token)?;
        let found = self.calls.open(token).await?;
        Ok(Session::opened(Arc::clone(&self.calls), found))
    }

    /// Verifies a token without the store: its signature, dates, issuer and audience.
    ///
    /// The token of a revoked session is accepted until it is `max_age` old, counted from its time of issue;
    /// with `None`, until it expires.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`]; [`SessionError::Expired`] if the token has expired or is older than `max_age`.
    pub fn verify(&self, token: &str, max_age: Option<Duration>) -> Result<Claims, SessionError> {
        self.check_length(token)?;
        let max_age = max_age.map(millis);
        let claims = self.calls.at_once(|instance| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_verify(store, engine, token, max_age)
        })?;
        Ok(summary::claims(claims))
    }

    /// Refuses a token that is too long before it is copied into the component.
    fn check_length(&self, token: &str) -> Result<(), SessionError> {
        if token.len() > self.policy.maximum_token_bytes as usize {
            return Err(SessionError::InvalidToken(TokenFault::TooLong));
        }
        Ok(())
    }

    /// Lists one page of a subject's live sessions.
    ///
    /// # Errors
    /// [`SessionError::InvalidArgument`]; [`SessionError::Unsupported`] if the store cannot list; the errors of the store.
    pub async fn list(&self, subject: &str, page: PageRequest<'_>) -> Result<SessionPage, SessionError> {
        let PageRequest { current, cursor } = page;
        check_subject(subject)?;
        check_argument("current", current.unwrap_or_default())?;
        check_argument("cursor", cursor.unwrap_or_default())?;
        let (subject, current, cursor) = (
            subject.to_owned(),
            current.map(str::to_owned),
            cursor.map(str::to_owned),
        );
        let page = self.calls.run(ReplayLog::default(), move |instance| {
            let (sessions, store, engine) = instance.parts();
            let (current, cursor) = (current.as_deref(), cursor.as_deref());
            sessions.call_list_sessions(store, engine, &subject, current, cursor)
        });
        Ok(summary::page(page.await?))
    }

    /// Ends the session of a subject with this public id; returns whether it existed.
    ///
    /// # Errors
    /// As [`Sessions::list`].
    pub async fn revoke(&self, subject: &str, public_id: &str) -> Result<bool, SessionError> {
        check_subject(subject)?;
        check_argument("public_id", public_id)?;
        let mut cursor = None;
        loop {
            let (subject, public_id, at) = (subject.to_owned(), public_id.to_owned(), cursor);
            let progress = self.calls.run(ReplayLog::default(), move |instance| {
                let (sessions, store, engine) = instance.parts();
                sessions.call_revoke(store, engine, &subject, &public_id, at.as_deref())
            });
            let progress = progress.await?;
            if progress.next.is_none() || progress.ended > 0 {
                return Ok(progress.ended > 0);
            }
            cursor = progress.next;
        }
    }

    /// Ends every session of a subject, and returns their number.
    ///
    /// After it returns, every session that was acknowledged before the call is gone.
    ///
    /// # Errors
    /// As [`Sessions::list`]. Some sessions may have ended when it fails; call it again.
    pub async fn revoke_all(&self, subject: &str) -> Result<u64, SessionError> {
        self.revoke_each(subject, None).await
    }

    /// Ends every other session of this session's subject ("log out everywhere else"), and returns their number.
    ///
    /// # Errors
    /// As [`Sessions::revoke_all`]; [`SessionError::SubjectRequired`] if the session has no subject.
    pub async fn revoke_others(&self, session: &Session) -> Result<u64, SessionError> {
        let details = session.details()?;
        let subject = details.subject.ok_or(SessionError::SubjectRequired)?;
        self.revoke_each(&subject, Some(details.public_id)).await
    }

    async fn revoke_each(&self, subject: &str, except: Option<String>) -> Result<u64, SessionError> {
        check_subject(subject)?;
        let (mut cursor, mut ended) = (None, 0);
        loop {
            let (subject, except, at) = (subject.to_owned(), except.clone(), cursor);
            let progress = self.calls.run(ReplayLog::default(), move |instance| {
                let (sessions, store, engine) = instance.parts();
                sessions.call_revoke_all(store, engine, &subject, except.as_deref(), at.as_deref())
            });
            let progress = progress.await?;
            ended += u64::from(progress.ended);
            if progress.next.is_none() {
                return Ok(ended);
            }
            cursor = progress.next;
        }
    }

    /// The HS256 key derived from a signing key, for a gateway that verifies JWTs itself.
    ///
    /// With this key one can forge JWTs of this issuer and audience, and nothing else.
    ///
    /// # Errors
    /// [`SessionError::InvalidArgument`] if the ring has no such key.
    pub fn jwt_key(&self, key_id: &str) -> Result<Vec<u8>, SessionError> {
        check_argument("key-id", key_id)?;
        self.calls.at_once(|instance| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_jwt_key(store, engine, key_id)
        })
    }

    /// The id of the key that signs new tokens; each token contains it.
    pub fn signing_key_id(&self) -> String {
        // The ring is never empty: the engine refuses an empty one.
        self.calls
            .keys()
            .first()
            .map_or_else(String::new, |key| key.id().to_owned())
    }

    /// Replaces the key ring while sessions are in use: the first key signs, and all verify. A ring has at most 64 keys.
    ///
    /// Calls that begin afterwards use the new ring, on every clone and on open sessions.
    ///
    /// To rotate keys over several servers without refusing a token:
    ///
    /// 1. Add the new key at the end of every server's ring.
    /// 2. Make it the first key on every server.
    /// 3. Remove the old key after the absolute timeout, when every session with a token that it signed has expired.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidKey`] if there is no key or a key is invalid; the ring is unchanged.
    /// [`ConfigurationError::Instantiate`] if the component cannot be instantiated to check the ring.
    ///
    /// ```
    /// use tessera::{Sessions, SigningKey, store::MemoryStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (old, new) = ([7; 32], [8; 32]);
    /// let sessions = Sessions::builder().signing_key("2026-11", old).build(MemoryStore::new())?;
    /// let token = sessions.create().save().await?.token.expect("a new session has a token");
    ///
    /// sessions.replace_keys([SigningKey::new("2026-12", new), SigningKey::new("2026-11", old)])?;
    /// assert_eq!(sessions.signing_key_id(), "2026-12");
    /// sessions.open(&token).await?;
    /// # Ok(()) }
    /// ```
    pub fn replace_keys(&self, keys: impl IntoIterator<Item = SigningKey>) -> Result<(), ConfigurationError> {
        self.calls.replace_keys(keys.into_iter().collect())
    }
}

/// Configures [`Sessions`].
pub struct SessionsBuilder {
    /// Where the policy starts from; an error is reported by `build`.
    start: Result<(Component, Policy), ConfigurationError>,
    keys: Vec<SigningKey>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    instances: usize,
    queue_places: usize,
    remembered_sessions: usize,
    remembered_bytes: usize,
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder")
            .field("policy", &self.start.as_ref().ok().map(|(_, policy)| policy))
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl SessionsBuilder {
    fn new(component: Result<Component, ConfigurationError>) -> Self {
        let start = component.and_then(|component| {
            let policy = starting_policy(&component, Preset::Standard)?;
            Ok((component, policy))
        });
        let instances = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            start,
            keys: Vec::new(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            instances,
            queue_places: QUEUE_PLACES,
            remembered_sessions: REMEMBERED_SESSIONS,
            remembered_bytes: REMEMBERED_BYTES,
        }
    }

    /// Sets the idle and the absolute timeout to those of a preset, as of an assurance level of NIST SP 800-63B-4.
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        self.start = self.start.and_then(|(component, mut policy)| {
            let preset = starting_policy(&component, preset)?;
            policy.idle_timeout = preset.idle_timeout;
            policy.absolute_timeout = preset.absolute_timeout;
            Ok((component, policy))
        });
        self
    }

    /// Adds a key to the ring: the first key signs, and all verify.
    ///
    /// The id matches `[A-Za-z0-9_-]{1,32}`, and the secret has 32 to 1024 bytes.
    pub fn signing_key(self, id: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        self.key(SigningKey::new(id, secret))
    }

    /// Adds a key to the ring: the first key signs, and all verify.
    pub fn key(mut self, key: SigningKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Changes fields of the policy.
    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        if let Ok((_, policy)) = &mut self.start {
            change(policy);
        }
        self
    }

    /// Returns the policy with all changes so far. Only [`build`](Self::build) validates it.
    ///
    /// # Errors
    /// [`ConfigurationError::Component`] or [`ConfigurationError::Instantiate`] if the engine, which has the defaults, cannot be
    /// started.
    pub fn into_policy(self) -> Result<Policy, ConfigurationError> {
        self.start.map(|(_, policy)| policy)
    }

    /// Ends a session this long after its last activity.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.policy(|policy| policy.idle_timeout = timeout)
    }

    /// Ends a session this long after its creation or last authentication.
    pub fn absolute_timeout(self, timeout: Duration) -> Self {
        self.policy(|policy| policy.absolute_timeout = timeout)
    }

    /// Replaces the machine's clock as the source of time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Replaces the operating system as the source of random bytes.
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Sets the number of component instances, limited to 1 to 256. Default: one for each core.
    pub fn instances(mut self, instances: usize) -> Self {
        self.instances = instances.clamp(1, 256);
        self
    }

    /// Sets the number of remembered opens, which spare the engine the same decision again. The store is still read each time.
    ///
    /// Default 65 536; 0 disables them. Beyond the limit, the oldest is dropped.
    pub fn remembered_sessions(mut self, sessions: usize) -> Self {
        self.remembered_sessions = sessions;
        self
    }

    /// Sets the maximum size of the remembered opens in bytes, including their records. Default 64 MiB; 0 disables them.
    pub fn remembered_bytes(mut self, bytes: usize) -> Self {
        self.remembered_bytes = bytes;
        self
    }

    /// Sets the lengths of the two queues of writers to one session, in which writers wait instead of contending in the store.
    ///
    /// One queue is for saves and renewals. The other has precedence, and is for touches (and so confirmations), and for
    /// logins that keep fields.
    /// Default: 1024 places in each; 0 disables both.
    ///
    /// If its queue is full or it has waited for two seconds, a save or renewal fails with [`SessionError::Contended`] and
    /// writes nothing, and a touch or login proceeds and contends.
    /// Logouts, revocations and other logins never wait.
    /// The queues need a tokio runtime with time; without one, no writer waits.
    pub fn queue_places(mut self, places: usize) -> Self {
        self.queue_places = places;
        self
    }

    /// Validates the configuration and creates the [`Sessions`] over a store.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidPolicy`] if the policy is invalid or the store cannot honour it,
    /// [`ConfigurationError::InvalidKey`] if there is no key or a key is invalid,
    /// [`ConfigurationError::Instantiate`] if the component cannot be instantiated.
    pub fn build(self, store: impl StoreService) -> Result<Sessions, ConfigurationError> {
        let (component, policy) = self.start?;
        let opens = Opens::new(self.remembered_sessions, self.remembered_bytes);
        let setup = Setup {
            component,
            sources: Sources {
                store: Arc::new(store),
                clock: self.clock,
                random: self.random,
            },
            policy: policy.to_wit(),
            keys: Mutex::new(self.keys.into()),
            queues: Queues::new(self.queue_places),
        };
        Ok(Sessions {
            calls: Arc::new(Calls::new(setup, self.instances, opens)?),
            policy: Arc::new(policy),
        })
    }
}

fn starting_policy(component: &Component, preset: Preset) -> Result<Policy, ConfigurationError> {
    let policy = crate::driver::starting_policy(component, preset.into())
        .map_err(|error| ConfigurationError::Instantiate(error.into()))?;
    Ok(Policy::from_wit(policy))
}
