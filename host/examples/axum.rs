//! Sessions in an axum service:
//! `TESSERA_SECRET=$(openssl rand -hex 32) cargo run --release -p tessera-session --features http --example axum`, then `http://127.0.0.1:3000`.

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Router, serve};
use tessera::http::{Cookie, LoggedIn, Session, SessionLayer};
use tessera::store::MemoryStore;
use tessera::{SessionError, Sessions};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::var("TESSERA_SECRET")?;
    let sessions = Sessions::builder()
        .signing_key("2026-11", secret)
        .build(MemoryStore::new())?;
    serve(TcpListener::bind("127.0.0.1:3000").await?, app(sessions)).await?;
    Ok(())
}

pub(crate) fn app(sessions: Sessions) -> Router {
    // Behind TLS, omit `.cookie(...)`: the default cookie is `Secure`.
    let layer = SessionLayer::new(sessions).cookie(Cookie::insecure_for_local_development());
    Router::new()
        .route("/", get(home))
        .route("/login/{name}", post(login))
        .route("/me", get(me))
        .route("/logout", post(logout))
        .layer(layer)
}

/// The session is stored because a field was set; the visitor gets a cookie.
async fn home(session: Session) -> Result<String, SessionError> {
    let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
    session.set("visits", &visits)?;
    Ok(format!("{visits} visits"))
}

/// Check a password first. The old token is refused from here on.
async fn login(session: Session, Path(name): Path<String>) -> Result<String, SessionError> {
    session.authenticate(&name).await?;
    Ok(format!("hello, {name}"))
}

/// Answers 401 to a client that is not logged in.
async fn me(LoggedIn { subject, .. }: LoggedIn) -> String {
    subject
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.destroy().await
}
