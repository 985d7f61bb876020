//! The application of the HTTP tests behind a real listener, and a browser that visits it.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::post;
use tessera::KeepFields;
use tessera::http::{Session, SessionLayer};
use tessera::{SessionError, Sessions, SessionsBuilder, TokenFormat};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::client::{Answer, Client};
use crate::fixture::{COOKIE, Fixture};

pub(crate) const ISSUER: &str = "https://login.example";
pub(crate) const AUDIENCE: &str = "shop";
/// The key that the application's tokens are signed with.
pub(crate) const KEY_ID: &str = "k";
pub(crate) const SECRET: [u8; 32] = [7; 32];
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Site {
    pub(crate) fixture: Fixture,
    pub(crate) door: Door,
    address: String,
    /// Ends the server when the test ends.
    runtime: Runtime,
}

/// Where a handler waits, its session open, until a test lets it go on.
#[derive(Clone)]
pub(crate) struct Door {
    reached: mpsc::Sender<()>,
    arrivals: Arc<Mutex<mpsc::Receiver<()>>>,
    open: Arc<Semaphore>,
}

impl Door {
    fn new() -> Self {
        let (reached, arrivals) = mpsc::channel();
        Self {
            reached,
            arrivals: Arc::new(Mutex::new(arrivals)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until a handler stands before it.
    pub(crate) fn wait(&self) {
        let arrivals = self.arrivals.lock().unwrap();
        arrivals.recv_timeout(PATIENCE).expect("a handler comes");
    }

    /// Lets one handler go on.
    pub(crate) fn let_one_through(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.reached.send(()).unwrap();
        self.open.acquire().await.unwrap().forget();
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(|sessions| sessions)
    }

    pub(crate) fn with(configure: impl FnOnce(SessionsBuilder) -> SessionsBuilder) -> Self {
        Self::guarded(configure, SessionLayer::new, |router| router)
    }

    /// With tokens of a form, and clocks that may not differ at all.
    pub(crate) fn of(format: TokenFormat) -> Self {
        Self::with(|sessions| {
            sessions.policy(|policy| {
                policy.token_format = format;
                policy.issuer = ISSUER.into();
                policy.audience = AUDIENCE.into();
                policy.clock_skew = Duration::ZERO;
            })
        })
    }

    pub(crate) fn guarded(
        configure: impl FnOnce(SessionsBuilder) -> SessionsBuilder,
        layer: impl FnOnce(Sessions) -> SessionLayer,
        guard: impl FnOnce(Router) -> Router,
    ) -> Self {
        let door = Door::new();
        let fixture = Fixture::guarded(configure, layer, |router| guard(further(router, &door)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = fixture.app.clone();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            fixture,
            door,
            address,
            runtime,
        }
    }

    /// Another connection.
    pub(crate) fn browser(&self) -> Browser {
        Browser(Client::new(&self.address))
    }

    /// Puts the clock forward.
    pub(crate) fn wait(&self, time: Duration) {
        self.fixture.clock.advance(time);
    }

    pub(crate) fn wait_millis(&self, millis: u64) {
        self.wait(Duration::from_millis(millis));
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

/// Routes beside those of the fixture.
fn further(router: Router, door: &Door) -> Router {
    let door = door.clone();
    router
        .route(
            "/set-slowly/{name}/{value}",
            post(move |session, field| set_slowly(door.clone(), session, field)),
        )
        .route("/step-up/{subject}", post(step_up))
        .route("/login-cached/{subject}", post(login_cached))
}

/// Changes a field of the session that it opened before the door.
async fn set_slowly(
    door: Door,
    session: Session,
    Path((name, value)): Path<(String, String)>,
) -> Result<(), SessionError> {
    session.set(&name, &value)?;
    door.pass().await;
    Ok(())
}

/// The same user, with more rights from now on.
async fn step_up(session: Session, Path(subject): Path<String>) -> Result<(), SessionError> {
    session
        .authenticate_keeping(&subject, &KeepFields::Everything)
        .await?;
    session.set("role", "admin")
}

/// A handler that believes its answer to be fit for every cache.
async fn login_cached(
    session: Session,
    Path(subject): Path<String>,
) -> Result<impl IntoResponse, SessionError> {
    session.authenticate(&subject).await?;
    Ok([(header::CACHE_CONTROL, "public, max-age=3600")])
}

/// One connection, whose cookie the test chooses.
pub(crate) struct Browser(Client);

impl Browser {
    /// Sends a request with the token in the cookie.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, path: &str, token: Option<&str>) -> Answer {
        self.call_with(method, path, token, &[])
    }

    /// With further headers.
    #[track_caller]
    pub(crate) fn call_with(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let cookie = token.map(|token| format!("{COOKIE}={token}"));
        let mut headers = headers.to_vec();
        headers.extend(cookie.as_deref().map(|cookie| ("Cookie", cookie)));
        let body = (method != "GET").then_some("");
        self.0.send(method, path, &headers, body)
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str, token: &str) -> Answer {
        self.call("GET", path, Some(token))
    }

    #[track_caller]
    pub(crate) fn post(&mut self, path: &str, token: &str) -> Answer {
        self.call("POST", path, Some(token))
    }

    /// Logs in without a session from before; the token.
    #[track_caller]
    pub(crate) fn login(&mut self, subject: &str) -> String {
        let path = format!("/login/{subject}");
        handed_out(&self.call("POST", &path, None))
    }

    /// Whom a token stands for.
    #[track_caller]
    pub(crate) fn subject(&mut self, token: &str) -> Option<String> {
        let answer = self.get("/me", token);
        match answer.status {
            200 => Some(answer.text),
            401 => None,
            _ => panic!("{answer:?}"),
        }
    }
}

/// The token in the one cookie that was set.
#[track_caller]
pub(crate) fn handed_out(answer: &Answer) -> String {
    let cookies: Vec<&str> = answer.all("set-cookie").collect();
    assert_eq!(cookies.len(), 1, "{answer:?}");
    let (pair, _) = cookies[0].split_once(';').expect("attributes");
    let (name, token) = pair.split_once('=').expect("a name");
    assert!(name == COOKIE && !token.is_empty(), "{answer:?}");
    token.to_owned()
}

/// Whether a cookie was set.
pub(crate) fn sets_a_cookie(answer: &Answer) -> bool {
    answer.header("set-cookie").is_some()
}

/// Whether the answer lets a request pass.
pub(crate) fn passes(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}
