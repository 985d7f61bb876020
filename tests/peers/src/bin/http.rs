//! One axum program, three ways: without sessions, with Tessera's layer, with `tower-sessions`. `cargo xtask bench-http` drives it.
//!
//! `POST /login` makes a session of nine text fields in memory and hands out a signed cookie; `GET /` opens it and answers one
//! field, or `nobody`. Neither program writes anything for such a request.

use axum::Router;
use axum::routing::{get, post};
use tessera::http::{Cookie, Session, SessionLayer};
use tessera::{SessionError, Sessions};
use tokio::net::TcpListener;
use tower_sessions::cookie::Key;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, MemoryStore, SessionManagerLayer};

/// What a field holds.
const TEXT: &str = "some text of usual length";
const NOBODY: &str = "nobody";
/// What `/` answers of a session.
const FIELD: &str = "role";

type Failure = Box<dyn std::error::Error>;
type PeerError = tower_sessions::session::Error;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let app = match std::env::args().nth(1).as_deref() {
        Some("none") => Router::new().route("/", get(async || TEXT)),
        Some("tessera") => tessera_app()?,
        Some("tower-sessions") => tower_sessions_app(),
        _ => return Err("which one? none, tessera or tower-sessions".into()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

fn tessera_app() -> Result<Router, Failure> {
    let builder = Sessions::builder().signing_key("2026-11", [7; 32]);
    let sessions = builder.build(tessera::store::MemoryStore::new())?;
    let layer = SessionLayer::new(sessions).cookie(Cookie::insecure_for_local_development());
    Ok(Router::new()
        .route("/", get(tessera_read))
        .route("/login", post(tessera_login))
        .layer(layer))
}

async fn tessera_read(session: Session) -> Result<String, SessionError> {
    Ok(session.get::<String>(FIELD)?.unwrap_or_else(|| NOBODY.into()))
}

async fn tessera_login(session: Session) -> Result<(), SessionError> {
    for field in 0..8 {
        session.set(&format!("field{field}"), TEXT)?;
    }
    session.set(FIELD, TEXT)?;
    session.authenticate("alice").await
}

fn tower_sessions_app() -> Router {
    let layer = SessionManagerLayer::new(MemoryStore::default())
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::minutes(30)))
        .with_signed(Key::from(&[7; 64]));
    Router::new()
        .route("/", get(peer_read))
        .route("/login", post(peer_login))
        .layer(layer)
}

async fn peer_read(session: tower_sessions::Session) -> String {
    let field = session.get::<String>(FIELD).await;
    field.ok().flatten().unwrap_or_else(|| NOBODY.into())
}

async fn peer_login(session: tower_sessions::Session) -> Result<(), String> {
    fill(&session).await.map_err(|error| error.to_string())
}

async fn fill(session: &tower_sessions::Session) -> Result<(), PeerError> {
    for field in 0..8 {
        session.insert(&format!("field{field}"), TEXT).await?;
    }
    session.insert(FIELD, TEXT).await?;
    session.cycle_id().await
}
