//! `tower-sessions` over its stores in Redis and SQLite: opens and saves of a session of nine text fields.
//! `tessera-peer-stores redis|sqlite WHERE AT_ONCE MILLISECONDS` prints a line for `open` and one for `save`.

#[path = "../../../examples/stores/measure.rs"]
mod measure;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use measure::measure;
use tower_sessions::session::Id;
use tower_sessions::{Session, SessionStore};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike as _, Config, Pool};
use tower_sessions_sqlx_store::SqliteStore;
use tower_sessions_sqlx_store::sqlx::SqlitePool;
use tower_sessions_sqlx_store::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

const TEXT: &str = "some text of usual length";
const SESSIONS: usize = 2_000;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, place, at_once, millis] = &arguments[..] else {
        return Err("redis|sqlite WHERE AT_ONCE MILLISECONDS".into());
    };
    let (at_once, length) = (at_once.parse()?, Duration::from_millis(millis.parse()?));
    match kind.as_str() {
        "redis" => {
            let pool = Pool::new(Config::from_url(place)?, None, None, None, 1)?;
            pool.connect();
            pool.wait_for_connect().await?;
            run(RedisStore::new(pool), at_once, length).await
        }
        "sqlite" => {
            let options = SqliteConnectOptions::new()
                .filename(place)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal);
            let store = SqliteStore::new(SqlitePool::connect_with(options).await?);
            store.migrate().await?;
            run(store, at_once, length).await
        }
        other => Err(format!("there is no {other}").into()),
    }
}

async fn run(store: impl SessionStore, at_once: usize, length: Duration) -> Result<(), Box<dyn Error>> {
    let store = Arc::new(store);
    let mut ids: Vec<Id> = Vec::new();
    for _ in 0..SESSIONS {
        let session = Session::new(None, store.clone(), None);
        for field in 0..8 {
            session.insert(&format!("field{field}"), TEXT).await?;
        }
        session.insert("role", TEXT).await?;
        session.save().await?;
        ids.push(session.id().ok_or("a saved session has an id")?);
    }
    let ids = Arc::new(ids);

    let (open_store, open_ids) = (store.clone(), ids.clone());
    let open = measure(at_once, length, move |number, call| {
        let id = open_ids[(number + call * 7_919) % SESSIONS];
        let session = Session::new(Some(id), open_store.clone(), None);
        async move {
            let role: Option<String> = session.get("role").await.expect("it opens");
            assert_eq!(role.as_deref(), Some(TEXT));
        }
    });
    println!("open {}", open.await);

    let sessions: Arc<Vec<Session>> = Arc::new(
        (0..at_once)
            .map(|number| Session::new(Some(ids[number % SESSIONS]), store.clone(), None))
            .collect(),
    );
    let save = measure(at_once, length, move |number, call| {
        let session = sessions[number].clone();
        async move {
            session.insert("visits", call).await.expect("it opens");
            session.save().await.expect("it is saved");
        }
    });
    println!("save {}", save.await);
    Ok(())
}
