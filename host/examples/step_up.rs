//! Step-up: a recent login before a payment.
//! `TESSERA_SECRET=$(openssl rand -hex 32) cargo run -p tessera-session --features http --example step_up`, then
//! `http://127.0.0.1:3000`.

use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Router, serve};
use tessera::http::{Cookie, LoggedIn, Session, SessionLayer};
use tessera::store::MemoryStore;
use tessera::{KeepFields, SessionError, Sessions};
use tokio::net::TcpListener;

/// OWASP and NIST SP 800-63B ask for a new authentication before sensitive actions.
const RECENT: Duration = Duration::from_secs(5 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::builder()
        .signing_key("2026-11", std::env::var("TESSERA_SECRET")?)
        .build(MemoryStore::new())?;
    serve(TcpListener::bind("127.0.0.1:3000").await?, app(sessions)).await?;
    Ok(())
}

pub(crate) fn app(sessions: Sessions) -> Router {
    let layer = SessionLayer::new(sessions).cookie(Cookie::insecure_for_local_development());
    Router::new()
        .route("/login", post(login))
        .route("/confirm", post(confirm))
        .route("/basket", get(basket).post(fill))
        .route("/pay", post(pay))
        .layer(layer)
}

/// Check the password first.
async fn login(session: Session) -> Result<&'static str, SessionError> {
    session.authenticate("alice").await?;
    Ok("hello")
}

/// Check the password once more. The token changes, and the fields stay.
async fn confirm(session: Session) -> Result<&'static str, SessionError> {
    session
        .authenticate_keeping("alice", &KeepFields::Everything)
        .await?;
    Ok("confirmed")
}

async fn fill(LoggedIn { session, .. }: LoggedIn) -> Result<&'static str, SessionError> {
    session.set("basket", "a book")?;
    Ok("filled")
}

async fn basket(session: Session) -> Result<String, SessionError> {
    Ok(session.get("basket")?.unwrap_or_else(|| "empty".to_owned()))
}

async fn pay(LoggedIn { session, .. }: LoggedIn) -> Result<(StatusCode, &'static str), SessionError> {
    if !session.authenticated_within(RECENT)? {
        return Ok((StatusCode::FORBIDDEN, "confirm your password first"));
    }
    session.remove("basket")?;
    Ok((StatusCode::OK, "paid"))
}
