//! An API for programs: the token in `Authorization: Bearer`, and no cookie.
//! `TESSERA_SECRET=$(openssl rand -hex 32) cargo run -p tessera-session --features http --example bearer`, then
//! `curl -i -X POST http://127.0.0.1:3000/login`.

use axum::routing::{get, post};
use axum::{Router, serve};
use tessera::http::{LoggedIn, Session, SessionLayer, TokenTransport};
use tessera::store::MemoryStore;
use tessera::{SessionError, Sessions};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::builder()
        .signing_key("2026-11", std::env::var("TESSERA_SECRET")?)
        .build(MemoryStore::new())?;
    serve(TcpListener::bind("127.0.0.1:3000").await?, app(sessions)).await?;
    Ok(())
}

pub(crate) fn app(sessions: Sessions) -> Router {
    let layer = SessionLayer::new(sessions).transports([TokenTransport::Bearer]);
    Router::new()
        .route("/login", post(login))
        .route("/me", get(me))
        .route("/logout", post(logout))
        .layer(layer)
}

/// Check the client's credentials first. A new token leaves in the header `X-Session-Token`.
async fn login(session: Session) -> Result<&'static str, SessionError> {
    session.authenticate("service-7").await?;
    Ok("hello")
}

/// Without a good token the answer is 401 with `WWW-Authenticate: Bearer`.
async fn me(LoggedIn { subject, .. }: LoggedIn) -> String {
    subject
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.destroy().await
}
