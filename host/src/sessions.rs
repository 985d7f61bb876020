//! [`Sessions`]: a policy, keys and a store, from which sessions are made and opened.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::driver::{Calls, Component, Queues, ReplayLog, Setup, Sources};
use crate::error::{ConfigurationError, SessionError, TokenFault};
use crate::keys::SigningKey;
use crate::limits::{check_argument, check_subject};
use crate::policy::{Policy, Preset};
use crate::session::Session;
use crate::store::StoreService;
use crate::summary;
use tessera_contract::opens::Opens;
use tessera_contract::{Claims, SessionPage, Timestamp, millis};

/// How many writers wait for one record unless it is set otherwise.
const QUEUE_PLACES: usize = 1024;
/// How many open sessions are remembered unless it is set otherwise, and how many bytes of them.
const REMEMBERED_SESSIONS: usize = 65_536;
const REMEMBERED_BYTES: usize = 64 << 20;

/// Makes and opens sessions. Cheap to clone; usable from any number of threads.
///
/// ```
/// use std::time::Duration;
/// use tessera::{Sessions, store::MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = [7; 32];
/// let sessions = Sessions::builder()?
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
    /// Begins with the defaults, the embedded component and no key.
    ///
    /// # Errors
    /// [`ConfigurationError::Component`] if the embedded component does not run here.
    pub fn builder() -> Result<SessionsBuilder, ConfigurationError> {
        SessionsBuilder::new(Component::embedded()?)
    }

    /// Begins with another component than the embedded one.
    ///
    /// # Errors
    /// [`ConfigurationError::Instantiate`].
    pub fn builder_with(component: Component) -> Result<SessionsBuilder, ConfigurationError> {
        SessionsBuilder::new(component)
    }

    /// Whether both were made by one [`SessionsBuilder::build`].
    #[cfg(feature = "http")]
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.calls, &other.calls)
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The time by the clock that sessions expire by, as [`Details::authenticated_within`](crate::Details) takes it.
    pub fn now(&self) -> Timestamp {
        self.calls.now()
    }

    /// Makes a draft: an empty session that is stored when it is saved.
    pub fn create(&self) -> Session {
        Session::draft(Arc::clone(&self.calls))
    }

    /// Opens the session that a token names. The store is asked each time; the engine only where the token was not shown lately,
    /// or the store or the clock answers something that could change its decision.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`], [`SessionError::Expired`], [`SessionError::Missing`], [`SessionError::Replaced`],
    /// [`SessionError::Reused`], and those of the store ([`SessionError::is_outage`]).
    pub async fn open(&self, token: &str) -> Result<Session, SessionError> {
        self.check_length(token)?;
        let found = self.calls.open(token).await?;
        Ok(Session::opened(Arc::clone(&self.calls), found))
    }

    /// Checks a token without the store: its mac, dates, issuer and audience.
    ///
    /// A session that was revoked meanwhile goes unnoticed for up to `max_age`, counted from the token's issue.
    ///
    /// # Errors
    /// [`SessionError::InvalidToken`], [`SessionError::Expired`].
    pub fn verify(&self, token: &str, max_age: Option<Duration>) -> Result<Claims, SessionError> {
        self.check_length(token)?;
        let max_age = max_age.map(millis);
        let claims = self.calls.at_once(|instance| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_verify(store, engine, token, max_age)
        })?;
        Ok(summary::claims(claims))
    }

    /// What is too long is refused before it is copied into the component.
    fn check_length(&self, token: &str) -> Result<(), SessionError> {
        if token.len() > self.policy.maximum_token_bytes as usize {
            return Err(SessionError::InvalidToken(TokenFault::TooLong));
        }
        Ok(())
    }

    /// Lists one page of a subject's live sessions; `current` is the public id of the caller's own.
    ///
    /// # Errors
    /// [`SessionError::InvalidArgument`], [`SessionError::Unsupported`], and those of the store.
    pub async fn list(
        &self,
        subject: &str,
        current: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<SessionPage, SessionError> {
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

    /// Ends one session of a subject, named by its public id; answers whether it was there.
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

    /// Ends every session of a subject, and answers how many.
    /// When it returns, each session that was acknowledged before it began is gone.
    ///
    /// # Errors
    /// As [`Sessions::list`]. Some may have ended when it fails; call it again.
    pub async fn revoke_all(&self, subject: &str) -> Result<u64, SessionError> {
        self.revoke_each(subject, None).await
    }

    /// Ends every session of a session's subject but this one: "log out everywhere else".
    ///
    /// # Errors
    /// As [`Sessions::list`]; [`SessionError::SubjectRequired`] if the session has no subject.
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

    /// The key with which JWTs are signed under a signing key, for a gateway that checks them itself.
    /// Who holds it can make JWTs of this issuer and audience, and nothing else.
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

    /// The id of the key that signs new tokens, as it stands in each of them.
    pub fn signing_key_id(&self) -> String {
        // A ring without a key is refused.
        self.calls
            .keys()
            .first()
            .map_or_else(String::new, |key| key.id().to_owned())
    }

    /// Replaces the key ring while sessions are in use: the first key signs, all verify, 64 at most.
    ///
    /// Calls that begin afterwards use the new ring, on any clone and on sessions that are open.
    /// To change keys over several servers without refusing a token: add the new key at the end of every server's ring,
    /// then make it the first on every server, and remove the old one when no session can live that it signed
    /// (after the absolute timeout).
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidKey`] if there is no key or one is unfit; the ring stays as it was.
    /// [`ConfigurationError::Instantiate`] if no instance can be made to try the ring.
    ///
    /// ```
    /// use tessera::{Sessions, SigningKey, store::MemoryStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (old, new) = ([7; 32], [8; 32]);
    /// let sessions = Sessions::builder()?.signing_key("2026-11", old).build(MemoryStore::new())?;
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
    component: Component,
    policy: Policy,
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
            .field("policy", &self.policy)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl SessionsBuilder {
    fn new(component: Component) -> Result<Self, ConfigurationError> {
        let policy = starting_policy(&component, Preset::Standard)?;
        let instances = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Ok(Self {
            component,
            policy,
            keys: Vec::new(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            instances,
            queue_places: QUEUE_PLACES,
            remembered_sessions: REMEMBERED_SESSIONS,
            remembered_bytes: REMEMBERED_BYTES,
        })
    }

    /// Takes the timeouts of an assurance level of NIST SP 800-63B-4.
    ///
    /// # Errors
    /// [`ConfigurationError::Instantiate`].
    pub fn preset(mut self, preset: Preset) -> Result<Self, ConfigurationError> {
        let preset = starting_policy(&self.component, preset)?;
        self.policy.idle_timeout = preset.idle_timeout;
        self.policy.absolute_timeout = preset.absolute_timeout;
        Ok(self)
    }

    /// Adds a key to the ring: the first signs, all verify. The id matches `[A-Za-z0-9_-]{1,32}`, the secret is 32 to 1024 bytes.
    pub fn signing_key(self, id: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        self.key(SigningKey::new(id, secret))
    }

    /// Adds a key to the ring: the first signs, all verify.
    pub fn key(mut self, key: SigningKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Changes any field of the policy.
    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Ends a session this long after its last activity.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.policy(|policy| policy.idle_timeout = timeout)
    }

    /// Ends a session this long after its creation or last authentication.
    pub fn absolute_timeout(self, timeout: Duration) -> Self {
        self.policy(|policy| policy.absolute_timeout = timeout)
    }

    /// Takes the time from elsewhere than the machine's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Takes random bytes from elsewhere than the operating system.
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// How many instances of the component there are. Default: one for each core.
    pub fn instances(mut self, instances: usize) -> Self {
        self.instances = instances.clamp(1, 256);
        self
    }

    /// How many opened sessions are remembered, so that the engine need not decide again what it has decided. The store is asked
    /// all the same. Default 65 536; 0: none. Beyond, the oldest is forgotten.
    pub fn remembered_sessions(mut self, sessions: usize) -> Self {
        self.remembered_sessions = sessions;
        self
    }

    /// How many bytes they may take, their records counted. Default 64 MiB.
    pub fn remembered_bytes(mut self, bytes: usize) -> Self {
        self.remembered_bytes = bytes;
        self
    }

    /// How many saves and renewals wait for their turn to write one session, instead of contending in the store, and how many
    /// confirmations and logins that keep fields, which go first. Default: 1024 of each. `0`: none waits.
    ///
    /// A save or renewal that finds no place, or has waited for two seconds, is [`SessionError::Contended`], with nothing
    /// written; a confirmation or login goes on and contends. Logouts, revocations and other logins never wait.
    /// Needs a tokio runtime with time; without one none waits.
    pub fn queue_places(mut self, places: usize) -> Self {
        self.queue_places = places;
        self
    }

    /// Checks everything and makes the sessions over a store.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidPolicy`] if the policy makes no sense or the store cannot honour it,
    /// [`ConfigurationError::InvalidKey`] if there is no key or one is unfit.
    pub fn build(self, store: impl StoreService) -> Result<Sessions, ConfigurationError> {
        let opens = Opens::new(self.remembered_sessions, self.remembered_bytes);
        let setup = Setup {
            component: self.component,
            sources: Sources {
                store: Arc::new(store),
                clock: self.clock,
                random: self.random,
            },
            policy: self.policy.to_wit(),
            keys: Mutex::new(self.keys.into()),
            queues: Queues::new(self.queue_places),
        };
        Ok(Sessions {
            calls: Arc::new(Calls::new(setup, self.instances, opens)?),
            policy: Arc::new(self.policy),
        })
    }
}

fn starting_policy(component: &Component, preset: Preset) -> Result<Policy, ConfigurationError> {
    let policy = crate::driver::starting_policy(component, preset.into())
        .map_err(|error| ConfigurationError::Instantiate(error.into()))?;
    Ok(Policy::from_wit(policy))
}
