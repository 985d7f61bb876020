//! An application with a handler for each thing that one does with a session, over a store that can be asked what it was asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::routing::{get, post};
use tessera::http::{LoggedIn, Session, SessionLayer, TokenState};
use tessera::store::MemoryStore;
use tessera::{Clock, SessionError, Sessions, SessionsBuilder, Timestamp};
use tessera_tests::stores::{Fault, NeverReady, Script, Scripted};
use tower::ServiceExt as _;

/// A cookie as a browser sends it back.
pub(crate) const COOKIE: &str = "__Host-tessera";
pub(crate) const START: u64 = 1_767_225_600_000;

/// A token with one character of its mac changed.
pub(crate) fn forged(token: &str) -> String {
    let at = token.len() - 2;
    let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What handlers share.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Option<Session>>>);

impl Shelf {
    pub(crate) fn take(&self) -> Session {
        self.0.lock().unwrap().take().expect("a session was kept")
    }
}

pub(crate) struct Fixture {
    pub(crate) sessions: Sessions,
    /// Answers late, so that requests at once really meet.
    pub(crate) store: Scripted<NeverReady<MemoryStore>>,
    pub(crate) clock: Hands,
    pub(crate) shelf: Shelf,
    pub(crate) app: Router,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// All `Set-Cookie` headers.
    pub(crate) fn cookies(&self) -> Vec<&str> {
        let values = self.headers.get_all(header::SET_COOKIE).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// The token in the one cookie that was set.
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        let cookies = self.cookies();
        assert_eq!(cookies.len(), 1, "{self:?}");
        let (pair, _) = cookies[0].split_once(';').unwrap();
        let (name, token) = pair.split_once('=').unwrap();
        assert_eq!(name, COOKIE);
        assert!(!token.is_empty(), "{self:?}");
        token.to_owned()
    }

    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(
            (problem["code"].as_str(), problem["status"].as_u64()),
            (Some(code), Some(status.into()))
        );
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|sessions| sessions, SessionLayer::new)
    }

    pub(crate) fn with(
        configure: impl FnOnce(SessionsBuilder) -> SessionsBuilder,
        layer: impl FnOnce(Sessions) -> SessionLayer,
    ) -> Self {
        Self::guarded(configure, layer, |router| router)
    }

    /// With further layers inside of the session layer.
    pub(crate) fn guarded(
        configure: impl FnOnce(SessionsBuilder) -> SessionsBuilder,
        layer: impl FnOnce(Sessions) -> SessionLayer,
        guard: impl FnOnce(Router) -> Router,
    ) -> Self {
        let clock = Hands(Arc::new(AtomicU64::new(START)));
        let memory = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
        let (store, _) = Scripted::new(NeverReady::new(memory));
        let builder = Sessions::builder().signing_key("k", [7; 32]).clock(clock.clone());
        let sessions = configure(builder).build(store.clone()).unwrap();
        let shelf = Shelf::default();
        let router = guard(routes(&shelf));
        let app = router.layer(layer(sessions.clone()));
        Self {
            sessions,
            store,
            clock,
            shelf,
            app,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Sends a request with the token in the cookie.
    pub(crate) async fn call(&self, method: &str, path: &str, token: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::COOKIE, format!("{COOKIE}={token}"));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A session of a subject; its token.
    pub(crate) async fn login(&self, subject: &str) -> String {
        self.call("POST", &format!("/login/{subject}"), None)
            .await
            .token()
    }

    /// What the store was asked since it was last asked this.
    pub(crate) fn questions(&self) -> Vec<String> {
        self.store.swap(Script::default()).questions
    }

    /// Makes the next question of a kind fail.
    pub(crate) fn fail(&self, operation: &str, how: &str) {
        let mut script = Script::default();
        script.fail(operation.into(), 1, 1, Fault::named(how, 250, 0).unwrap());
        self.store.swap(script);
    }
}

fn routes(shelf: &Shelf) -> Router {
    Router::new()
        .route("/plain", get(async || "plain"))
        .route("/get/{name}", get(read))
        .route("/arrival", get(token_state))
        .route("/maybe", get(maybe))
        .route("/me", get(me))
        .route("/set/{name}/{value}", post(set))
        .route("/fail/{name}/{value}", post(set_and_fail))
        .route("/login/{subject}", post(login))
        .route("/login-with/{subject}/{name}/{value}", post(login_with))
        .route("/login-and-fail/{subject}", post(login_and_fail))
        .route("/rotate", post(rotate))
        .route("/logout", post(logout))
        .route("/flash/{text}", post(flash))
        .route("/messages", get(messages))
        .route("/devices", get(devices))
        .route("/revoke/{public_id}", post(revoke))
        .route("/revoke-others", post(revoke_others))
        .route("/recent", get(recent))
        .route("/csrf", get(csrf_token))
        .route("/echo", post(async |body: String| body))
        .route("/shelve", get(shelve))
        .route("/login-and-shelve/{subject}", post(login_and_shelve))
        .with_state(shelf.clone())
}

type Text = Result<String, SessionError>;

async fn read(session: Session, Path(name): Path<String>) -> Text {
    Ok(session.get::<String>(&name)?.unwrap_or_else(|| "nothing".into()))
}

async fn token_state(session: Session) -> String {
    match session.token_state() {
        TokenState::Absent => "absent".into(),
        TokenState::Refused(kind) => kind.code().into(),
        TokenState::Live => "live".into(),
    }
}

async fn maybe(session: Option<Session>) -> Text {
    Ok(match session {
        None => "nobody".into(),
        Some(session) => session.subject()?.unwrap_or_else(|| "somebody".into()),
    })
}

async fn me(LoggedIn { subject, .. }: LoggedIn) -> String {
    subject
}

async fn set(session: Session, Path((name, value)): Path<(String, String)>) -> Result<(), SessionError> {
    session.set(&name, &value)
}

async fn set_and_fail(
    session: Session,
    Path((name, value)): Path<(String, String)>,
) -> Result<StatusCode, SessionError> {
    session.set(&name, &value)?;
    Ok(StatusCode::BAD_GATEWAY)
}

async fn login(session: Session, Path(subject): Path<String>) -> Result<(), SessionError> {
    session.authenticate(&subject).await
}

async fn login_with(
    session: Session,
    Path((subject, name, value)): Path<(String, String, String)>,
) -> Result<(), SessionError> {
    session.set(&name, &value)?;
    session.authenticate(&subject).await
}

async fn login_and_fail(session: Session, Path(subject): Path<String>) -> Result<StatusCode, SessionError> {
    session.authenticate(&subject).await?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn rotate(session: Session) -> Result<(), SessionError> {
    session.rotate().await
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.destroy().await
}

async fn flash(session: Session, Path(text): Path<String>) -> Result<(), SessionError> {
    session.flash(&text)
}

async fn messages(session: Session) -> Text {
    Ok(session.take_flash()?.join(","))
}

/// The references, the caller's own with a star.
async fn devices(session: Session) -> Text {
    let devices = session.devices(None).await?;
    let shown = devices.items.iter().map(|device| {
        let star = if device.current { "*" } else { "" };
        format!("{}{star}", device.public_id)
    });
    Ok(shown.collect::<Vec<_>>().join(","))
}

async fn revoke(session: Session, Path(public_id): Path<String>) -> Text {
    Ok(session.revoke(&public_id).await?.to_string())
}

async fn revoke_others(session: Session) -> Text {
    Ok(session.revoke_others().await?.to_string())
}

async fn recent(session: Session) -> Text {
    Ok(session
        .authenticated_within(Duration::from_secs(300))?
        .to_string())
}

async fn csrf_token(session: Session) -> Text {
    session.csrf_token()
}

async fn login_and_shelve(
    session: Session,
    State(shelf): State<Shelf>,
    Path(subject): Path<String>,
) -> Result<(), SessionError> {
    session.authenticate(&subject).await?;
    *shelf.0.lock().unwrap() = Some(session);
    Ok(())
}

async fn shelve(session: Session, State(shelf): State<Shelf>) {
    *shelf.0.lock().unwrap() = Some(session);
}
