//! A thief who saves with a stolen token without end, on many connections, and what the owner's calls meet of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tessera::store::Store;
use tessera::{SessionError, Sessions, SessionsBuilder};
use tokio::task::JoinSet;

use crate::stores::{Script, Scripted};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sessions as every process of the flood has them.
///
/// # Errors
/// If the embedded component does not run here.
pub fn builder() -> Result<SessionsBuilder, Failure> {
    Ok(Sessions::builder()?.signing_key("flood", [7; 32]))
}

/// Saves to one session until it is stopped or refused for good.
pub struct Flood {
    stops: Arc<AtomicBool>,
    saved: Arc<AtomicU64>,
    savers: JoinSet<Result<(), SessionError>>,
}

impl Flood {
    /// Begins so many saves at a time with this token, and waits until some are done.
    ///
    /// # Errors
    /// If the token opens nothing.
    pub async fn start(store: impl Store, token: &str, connections: usize) -> Result<Self, Failure> {
        // As many processes would: nobody waits for a turn.
        let sessions = builder()?.queue_places(0).build(store)?;
        let (stops, saved) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut savers = JoinSet::new();
        for connection in 0..connections {
            let session = sessions.open(token).await?;
            let (stops, saved) = (Arc::clone(&stops), Arc::clone(&saved));
            savers.spawn(async move {
                let mut value = 0_u64;
                while !stops.load(Ordering::Relaxed) {
                    value += 1;
                    session.set(&format!("field{}", connection % 8), &value)?;
                    // Over a store that answers at once nothing else would let others have their turn.
                    tokio::task::yield_now().await;
                    match session.save().await {
                        Ok(_) => drop(saved.fetch_add(1, Ordering::Relaxed)),
                        // A store that others keep busy may be out of patience, too.
                        Err(SessionError::Contended) => {}
                        Err(error) if error.is_outage() => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            });
        }
        let flood = Self { stops, saved, savers };
        let began = Instant::now();
        while flood.saved() < 64 && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(flood)
    }

    /// How many saves were acknowledged.
    pub fn saved(&self) -> u64 {
        self.saved.load(Ordering::Relaxed)
    }

    /// Ends it, and answers why savers gave up, one error for each.
    pub async fn stop(mut self) -> Vec<SessionError> {
        self.stops.store(true, Ordering::Relaxed);
        let mut refused = Vec::new();
        while let Some(ended) = self.savers.join_next().await {
            refused.extend(ended.ok().and_then(Result::err));
        }
        refused
    }
}

/// Which of the owner's calls is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnersCall {
    /// Ends the session.
    Logout,
    /// Logs in again, and keeps nothing of what is stored.
    Login,
    /// Confirms a renewed token, which writes beside every save.
    Confirmation,
}

/// What a call of the owner met under a flood.
#[derive(Debug)]
pub struct Met {
    /// How it ended.
    pub ended: Result<(), SessionError>,
    /// How long it took.
    pub took: Duration,
    /// What it asked the store.
    pub questions: Vec<String>,
    /// How many saves were acknowledged before it.
    pub saved: u64,
    /// Why the savers gave up.
    pub refused: Vec<SessionError>,
}

/// Makes a session, begins a flood on it, and makes a call of its owner.
///
/// # Errors
/// If anything but the call fails.
pub async fn meet<S: Store + Clone>(store: &S, call: OwnersCall, connections: usize) -> Result<Met, Failure> {
    let (scripted, _pauses) = Scripted::new(store.clone());
    let sessions = builder()?.build(scripted.clone())?;
    let session = sessions.create();
    session.set("role", "admin")?;
    let token = session.authenticate("owner").await?.token;
    let token = token.ok_or("a login hands out a token")?;
    let renewed = match call {
        OwnersCall::Confirmation => session.rotate().await?.token,
        OwnersCall::Logout | OwnersCall::Login => None,
    };
    let flood = Flood::start(store.clone(), &token, connections).await?;
    let session = sessions.open(renewed.as_deref().unwrap_or(&token)).await?;
    scripted.swap(Script::default());
    let began = Instant::now();
    let ended = match call {
        OwnersCall::Logout => session.destroy().await,
        OwnersCall::Login => session.authenticate("owner").await.map(|_| ()),
        OwnersCall::Confirmation => session.touch().await.map(|_| ()),
    };
    let took = began.elapsed();
    let questions = scripted.swap(Script::default()).questions;
    let saved = flood.saved();
    // Every saver is to find out by itself.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refused = flood.stop().await;
    Ok(Met {
        ended,
        took,
        questions,
        saved,
        refused,
    })
}

/// What became of many saves of different fields at once.
#[derive(Debug, Default)]
pub struct Saves {
    /// How many were acknowledged.
    pub accepted: usize,
    /// How many were given up as contended.
    pub contended: usize,
}

/// Saves as many fields as there are handles at once, each by a handle of its own, and looks whether exactly those that were
/// acknowledged are stored.
///
/// # Errors
/// If a save ends in another way, or one that was acknowledged is not stored.
pub async fn save_at_once(processes: &[Sessions], token: &str, saves: usize) -> Result<Saves, Failure> {
    let mut handles = Vec::new();
    for (number, sessions) in (0..saves).zip(processes.iter().cycle()) {
        let session = sessions.open(token).await?;
        session.set(&format!("field{number}"), &number)?;
        handles.push((number, session));
    }
    let mut tasks = JoinSet::new();
    for (number, session) in handles {
        tasks.spawn(async move { (number, session.save().await) });
    }
    let (mut told, mut accepted) = (Saves::default(), Vec::new());
    while let Some(ended) = tasks.join_next().await {
        match ended? {
            (number, Ok(_)) => accepted.push(number),
            (_, Err(SessionError::Contended)) => told.contended += 1,
            (_, Err(error)) => return Err(error.into()),
        }
    }
    told.accepted = accepted.len();
    let first = processes.first().ok_or("no process")?;
    let session = first.open(token).await?;
    for number in accepted {
        if session.get::<usize>(&format!("field{number}"))? != Some(number) {
            return Err(format!("the save of field{number} was acknowledged and is not stored").into());
        }
    }
    Ok(told)
}
