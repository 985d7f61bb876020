//! The demonstration alone: `cargo run --release -p tessera-session --features demo --example demo`, then `http://localhost:3000`.
//!
//! Its routes, handlers and pages are in `http/src/demo`; `tessera serve` shows the same at `/`.

use std::time::Duration;

use tessera::Sessions;
use tessera::http::Cookie;
use tessera::http::demo::{AGENT, Demo};
use tessera::store::MemoryStore;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A service keeps its key, and its sessions in a file: these end with the program.
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let sessions = Sessions::builder()
        .signing_key("demo", secret)
        .policy(|policy| policy.public_fields = vec![AGENT.into()])
        .build(MemoryStore::new())?;
    let grace = sessions.policy().rotation_grace;
    // Behind TLS take `Cookie::default()`.
    let cookie = Cookie::insecure_for_local_development();
    let pause = |time: Duration| Box::pin(tokio::time::sleep(time)) as _;
    let app = Demo::new(sessions, cookie, grace, pause).router();
    axum::serve(TcpListener::bind("127.0.0.1:3000").await?, app).await?;
    Ok(())
}
