//! Clients: they run their programs call by call, and log the results.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tessera::Clock as _;

use super::calls::{Call, Told};
use super::engine::Engine;
use super::linear::Observed;
use super::plan::Act;
use super::store::BoardClock;
use crate::lock;

/// The maximum number of handles of a client.
pub const HANDLES: usize = 32;

/// A token that a client received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Granted {
    /// The token.
    pub token: String,
    /// The session's subject at that time.
    pub subject: Option<String>,
}

/// The calls of one client with their results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The calls in order; the last one may be in progress.
    pub calls: Vec<Observed>,
    /// All tokens that it received.
    pub tokens: Vec<Granted>,
}

fn payload(token: &str) -> Vec<u8> {
    let payload = token.split('.').nth(2).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default()
}

/// The record's key and the generation in a compact token.
pub fn key_and_generation(token: &str) -> (String, u32) {
    let bytes = payload(token);
    let id = bytes.get(..16).unwrap_or_default();
    let counter = bytes
        .get(16..20)
        .and_then(|four| four.try_into().ok())
        .map_or(0, u32::from_be_bytes);
    (BASE64_URL_SAFE_NO_PAD.encode(id), counter)
}

/// The part of a compact token with the session, the generation and the time at which the generation was raised.
pub fn generation_bytes(token: &str) -> Vec<u8> {
    payload(token).get(..26).unwrap_or_default().to_vec()
}

/// One client.
pub struct Client<E> {
    /// Its number.
    pub number: usize,
    /// Its engine.
    pub sessions: E,
    /// Its program.
    pub program: Vec<Act>,
    /// The token with which it starts.
    pub token: Option<String>,
    /// The log of its calls.
    pub log: Arc<Mutex<Log>>,
    /// The clock of the client whose turn it is.
    pub clock: BoardClock,
    /// Set when the caller goes away: the call in progress is the last one, and its result is not logged.
    pub leaves: Arc<AtomicBool>,
    /// The maximum number of repetitions of a call that was unavailable.
    pub repeats: usize,
}

/// The open session of a client.
struct Open<S> {
    session: S,
    handle: usize,
    key: String,
}

/// How a client continues its program.
enum Then {
    Next,
    Again,
    Reopen,
    Stop,
}

impl<E: Engine> Client<E> {
    /// Runs the whole program.
    pub async fn run(mut self) {
        let (mut open, mut handles) = (None, 0);
        for (place, act) in self.program.clone().into_iter().enumerate() {
            let mut left = self.repeats;
            loop {
                match self.act(place, act, &mut open, &mut handles).await {
                    Then::Next => break,
                    Then::Again if left > 0 => left -= 1,
                    Then::Reopen if left > 0 && self.token.is_some() => {
                        left -= 1;
                        open = None;
                        if !matches!(
                            self.act(place, Act::Open, &mut open, &mut handles).await,
                            Then::Next
                        ) {
                            return;
                        }
                    }
                    _ => return,
                }
            }
        }
    }

    async fn act(
        &mut self,
        place: usize,
        act: Act,
        open: &mut Option<Open<E::Session>>,
        handles: &mut usize,
    ) -> Then {
        let value = format!("{}.{place}", self.number);
        match act {
            Act::Open => {
                let Some(token) = self.token.clone() else {
                    return Then::Stop;
                };
                let (key, generation) = key_and_generation(&token);
                let handle = self.new_handle(handles);
                self.begin(Call::Open {
                    handle,
                    key: key.clone(),
                    generation,
                });
                match self.sessions.open(&token).await {
                    Err(told) => self.end(told),
                    Ok(session) => {
                        let told = self.sessions.seen(&session).await;
                        *open = Some(Open { session, handle, key });
                        self.end(told)
                    }
                }
            }
            Act::Enter(subject) => {
                self.learn_key(open);
                let drafted = match open {
                    Some(open) => open,
                    None => {
                        let handle = self.new_handle(handles);
                        let session = match self.sessions.create().await {
                            Ok(session) => session,
                            Err(told) => return self.odd(told),
                        };
                        open.insert(Open {
                            session,
                            handle,
                            key: String::new(),
                        })
                    }
                };
                let Open { session, handle, key } = drafted;
                self.login((session, *handle, key), subject, &value).await
            }
            Act::RevokeAll(subject) => {
                self.begin(Call::RevokeAll {
                    subject: subject.into(),
                });
                let told = match self.sessions.revoke_all(subject).await {
                    Ok(()) => Told::Done,
                    // Some pages may be complete.
                    Err(Told::Unavailable | Told::InstanceLost | Told::Contended) => Told::Unknown,
                    Err(told) => told,
                };
                self.end(told)
            }
            Act::Revoke(subject) => {
                // A token identifies its session, even if that has ended.
                let Some(token) = self.token.clone() else {
                    return Then::Stop;
                };
                let Some(public_id) = self.sessions.public_id(&token).await else {
                    return Then::Stop;
                };
                self.begin(Call::Revoke {
                    key: key_and_generation(&token).0,
                    subject: subject.into(),
                });
                let told = match self.sessions.revoke(subject, &public_id).await {
                    Ok(true) => Told::Done,
                    Ok(false) => Told::Missing,
                    Err(told) => told,
                };
                self.end(told)
            }
            _ => {
                self.learn_key(open);
                match open {
                    Some(Open { session, handle, key }) => {
                        self.act_on((session, *handle, key), act, &value).await
                    }
                    None => Then::Stop,
                }
            }
        }
    }

    /// Learns the key of a draft that was stored since, from the log of the call that stored it.
    fn learn_key(&self, open: &mut Option<Open<E::Session>>) {
        let Some(open) = open.as_mut().filter(|open| open.key.is_empty()) else {
            return;
        };
        let log = lock(&self.log);
        let of_handle = |observed: &&Observed| observed.call.handle() == Some(open.handle);
        let call = log.calls.iter().rev().find(of_handle);
        if let Some(key) = call.and_then(|observed| observed.call.key()) {
            open.key = key.to_owned();
        }
    }

    async fn act_on(
        &mut self,
        (session, handle, key): (&E::Session, usize, &String),
        act: Act,
        value: &str,
    ) -> Then {
        let key = key.clone();
        match act {
            Act::Save(field) => {
                let fields = BTreeMap::from([(field.to_owned(), value.to_owned())]);
                if let Err(told) = self.sessions.set(session, field, value).await {
                    return self.odd(told);
                }
                self.begin(Call::Save { handle, key, fields });
                let granted = self.sessions.save(session).await;
                self.granted(session, granted).await
            }
            Act::Rotate => {
                self.begin(Call::Rotate { handle, key });
                let granted = self.sessions.rotate(session).await;
                self.granted(session, granted).await
            }
            Act::Touch => {
                self.begin(Call::Touch { handle, key });
                let touched = self.sessions.touch(session).await;
                self.end(touched.map_or_else(|told| told, |()| Told::Done))
            }
            Act::Destroy => {
                self.begin(Call::Destroy { handle, key });
                let ended = self.sessions.destroy(session).await;
                self.end(ended.map_or_else(|told| told, |()| Told::Done))
            }
            Act::Login(subject) => self.login((session, handle, &key), subject, value).await,
            Act::Open | Act::Enter(_) | Act::Revoke(_) | Act::RevokeAll(_) => Then::Stop,
        }
    }

    async fn login(
        &mut self,
        (session, handle, key): (&E::Session, usize, &String),
        subject: &str,
        value: &str,
    ) -> Then {
        let fields = BTreeMap::from([("by".to_owned(), value.to_owned())]);
        if let Err(told) = self.sessions.set(session, "by", value).await {
            return self.odd(told);
        }
        let (key, subject_text) = (key.clone(), subject.to_owned());
        self.begin(Call::Login {
            handle,
            key,
            subject: subject_text,
            fields,
        });
        let granted = self.sessions.authenticate(session, subject).await;
        self.granted(session, granted).await
    }

    fn new_handle(&self, handles: &mut usize) -> usize {
        *handles += 1;
        self.number * HANDLES + *handles - 1
    }

    fn begin(&self, call: Call) {
        let now = self.clock.now().as_millis();
        lock(&self.log).calls.push(Observed::new(call, now));
    }

    async fn granted(&mut self, session: &E::Session, granted: Result<Option<String>, Told>) -> Then {
        match granted {
            Err(told) => self.end(told),
            Ok(None) => self.end(Told::Done),
            Ok(Some(token)) => {
                let generation = key_and_generation(&token).1;
                if !self.leaves.load(Ordering::Relaxed) {
                    let subject = self.sessions.subject(session).await;
                    lock(&self.log).tokens.push(Granted {
                        token: token.clone(),
                        subject,
                    });
                }
                self.token = Some(token);
                self.end(Told::Token(generation))
            }
        }
    }

    /// Ends the program where a call that needs no store has failed. A session that is closed takes no field; any other failure is
    /// logged as the odd end of a revocation of nobody.
    fn odd(&self, told: Told) -> Then {
        if told != Told::Missing {
            self.begin(Call::RevokeAll {
                subject: String::new(),
            });
            self.end(Told::Odd(format!("{told:?} without the store")));
        }
        Then::Stop
    }

    fn end(&self, told: Told) -> Then {
        if self.leaves.load(Ordering::Relaxed) {
            return Then::Stop;
        }
        let next = then(&told);
        let mut log = lock(&self.log);
        // A touch that is not due performs no operation, and is not logged.
        let is_idle = |call: &Observed| !call.asked && matches!(call.call, Call::Touch { .. });
        let asked_nothing = told == Told::Done && log.calls.last().is_some_and(is_idle);
        if asked_nothing {
            log.calls.pop();
        } else if let Some(call) = log.calls.last_mut() {
            call.told = Some(told);
        }
        next
    }
}

fn then(told: &Told) -> Then {
    match told {
        Told::Opened { .. } | Told::Done | Told::Token(_) => Then::Next,
        Told::Unavailable | Told::Unknown => Then::Again,
        Told::InstanceLost => Then::Reopen,
        _ => Then::Stop,
    }
}
