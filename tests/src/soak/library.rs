//! A node of the library, with shorter times than those of the service, so that a test need not wait for minutes.

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tessera::Sessions;
use tessera::connections::{Connections, router};
use tessera::http::api::{Api, ServiceKey};
use tessera::store::{RedisMailbox, RedisStore};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::plan::Plan;

/// The service key of these nodes.
pub(super) const KEY: &str = "Jw0nN7Yl6T1f4sVqZ3rXc8BmJw0nN7Yl6T1f4sVq";
/// The variable with the address and the Redis of a node.
const VARIABLE: &str = "TESSERA_SOAK_NODE";
/// The time for the requests in progress when a node stops.
const STOPPING: Duration = Duration::from_secs(1);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The command that starts this program once more, as a node.
pub(super) fn command(arguments: &[&str], redis: &str, address: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the path of this program"));
    command
        .args(arguments)
        .env(VARIABLE, format!("{address} {redis}"));
    command
}

/// Serves as a node until SIGTERM, if this process was started as one.
///
/// # Errors
/// If the node cannot start.
pub fn serve_node() -> Result<(), Failure> {
    let Ok(text) = env::var(VARIABLE) else {
        return Ok(());
    };
    let (address, redis) = text.split_once(' ').ok_or("an address and a URL")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(serve(address, redis))
}

async fn serve(address: &str, redis: &str) -> Result<(), Failure> {
    let store = RedisStore::open(&redis.parse()?).await?;
    let sessions = Sessions::builder()
        .signing_key("soak", [7; 32])
        // Its memory is full after the warm-up.
        .remembered_sessions(64)
        .build(store.clone())?;
    let times = Plan::short(0, &[]).times();
    let connections = Connections::builder(&sessions)
        .beat(times.beat)
        .detached_for(times.detached_for)
        .lease(times.detached_for * 3)
        .lifetime(times.lifetime)
        .sign_of_life(times.sign_of_life)
        .build(RedisMailbox::new(&store))?;
    let connections = Arc::new(connections);
    let ending = Arc::clone(&connections);
    let api = Api::new(sessions, ServiceKey::new(KEY)?, Vec::new(), |task| {
        tokio::spawn(task);
    });
    let api = Arc::new(api.after_end(move |session| {
        let connections = Arc::clone(&ending);
        Box::pin(async move {
            // Otherwise the next beat ends them.
            let _ = connections.close_session(&session).await;
        })
    }));
    let app = Arc::clone(&api).router(router(api, Arc::clone(&connections)));
    let listener = TcpListener::bind(address).await?;
    let (mut stopping, mut stopped) = (signal(SignalKind::terminate())?, signal(SignalKind::terminate())?);
    let ending = Arc::clone(&connections);
    let served = axum::serve(listener, app).with_graceful_shutdown(async move {
        stopping.recv().await;
        ending.shut_down();
    });
    tokio::select! {
        served = served.into_future() => served?,
        // A client that does not read keeps its socket.
        () = async { stopped.recv().await; sleep(STOPPING).await } => {}
    }
    let _ = timeout(STOPPING, connections.finish()).await;
    Ok(())
}
