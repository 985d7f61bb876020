//! A flood of saves with a stolen token on many connections, and its effect on the calls of the session's owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tessera::store::Store;
use tessera::{SessionError, Sessions, SessionsBuilder};
use tokio::task::JoinSet;

use crate::stores::{Script, Scripted};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Returns the builder that all processes of the flood share.
pub fn builder() -> SessionsBuilder {
    Sessions::builder().signing_key("flood", [7; 32])
}

/// Saves to one session until it is stopped, or until the token is refused.
pub struct Flood {
    stops: Arc<AtomicBool>,
    saved: Arc<AtomicU64>,
    savers: JoinSet<Result<(), SessionError>>,
}

impl Flood {
    /// Starts `connections` concurrent savers with this token, and waits until some saves are complete.
    ///
    /// # Errors
    /// If the token opens no session.
    pub async fn start(store: impl Store, token: &str, connections: usize) -> Result<Self, Failure> {
        // Without a queue, as with many processes: no saver waits for its turn.
        let sessions = builder().queue_places(0).build(store)?;
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
                    // Over a store that is always ready, no other await would let other tasks run.
                    tokio::task::yield_now().await;
                    match session.save().await {
                        Ok(_) => drop(saved.fetch_add(1, Ordering::Relaxed)),
                        // A busy store may exceed its time limit.
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

    /// The number of acknowledged saves so far.
    pub fn saved(&self) -> u64 {
        self.saved.load(Ordering::Relaxed)
    }

    /// Stops the flood. Returns the errors of the savers that had stopped before.
    pub async fn stop(mut self) -> Vec<SessionError> {
        self.stops.store(true, Ordering::Relaxed);
        let mut refused = Vec::new();
        while let Some(ended) = self.savers.join_next().await {
            refused.extend(ended.ok().and_then(Result::err));
        }
        refused
    }
}

/// A call of the session's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnersCall {
    /// Ends the session.
    Logout,
    /// Logs in again, and keeps none of the stored fields.
    Login,
    /// Confirms a renewed token, with a write that competes with every save.
    Confirmation,
}

/// The course of an owner's call under a flood.
#[derive(Debug)]
pub struct Met {
    /// The result of the call.
    pub ended: Result<(), SessionError>,
    /// The duration of the call.
    pub took: Duration,
    /// The store operations of the call.
    pub questions: Vec<String>,
    /// The number of saves that were acknowledged before the call ended.
    pub saved: u64,
    /// The errors of the savers that stopped.
    pub refused: Vec<SessionError>,
}

/// Creates a session, starts a flood on it, and makes a call of its owner.
///
/// # Errors
/// If anything other than the call fails.
pub async fn meet<S: Store + Clone>(store: &S, call: OwnersCall, connections: usize) -> Result<Met, Failure> {
    let (scripted, _pauses) = Scripted::new(store.clone());
    let sessions = builder().build(scripted.clone())?;
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
    // Each saver needs time to receive its refusal.
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

/// The results of many concurrent saves of different fields.
#[derive(Debug, Default)]
pub struct Saves {
    /// The number of acknowledged saves.
    pub accepted: usize,
    /// The number of saves that failed as contended.
    pub contended: usize,
}

/// Saves `saves` different fields concurrently, each through a handle of its own, and checks that the acknowledged ones are
/// stored.
///
/// # Errors
/// If a save fails with another error, or an acknowledged one is not stored.
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
