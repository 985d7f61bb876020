//! A form with a token against cross-site request forgery.
//! `TESSERA_SECRET=$(openssl rand -hex 32) cargo run -p tessera-session --features http --example csrf_form`, then
//! `http://127.0.0.1:3000`.

use axum::extract::Form;
use axum::response::{Html, Redirect};
use axum::routing::get;
use axum::{Router, serve};
use serde::Deserialize;
use tessera::http::{CSRF_FIELD, Cookie, CsrfLayer, Session, SessionLayer};
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
    let layer = SessionLayer::new(sessions).cookie(Cookie::insecure_for_local_development());
    Router::new()
        .route("/", get(page).post(save))
        // Inside the session layer: it checks the token of the session.
        .layer(CsrfLayer::new())
        .layer(layer)
}

/// The first visit stores the session, because a draft has no token against forgery.
async fn page(session: Session) -> Result<Html<String>, SessionError> {
    if session.get::<u32>("visits")?.is_none() {
        session.set("visits", &1)?;
        session.save().await?;
    }
    let colour: String = session.get("colour")?.unwrap_or_else(|| "none".to_owned());
    // The token is base64url, and the colour is one of three.
    Ok(Html(format!(
        "<p>colour: {colour}</p>\
         <form method=post><input type=hidden name={CSRF_FIELD} value={}>\
         <button name=colour value=red>red</button> <button name=colour value=blue>blue</button></form>",
        session.csrf_token()?
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Blue,
}

#[derive(Deserialize)]
struct Choice {
    colour: Colour,
}

/// Reached only with the form's token, and from this origin.
async fn save(session: Session, Form(choice): Form<Choice>) -> Result<Redirect, SessionError> {
    let colour = match choice.colour {
        Colour::Red => "red",
        Colour::Blue => "blue",
    };
    session.set("colour", colour)?;
    Ok(Redirect::to("/"))
}
