//! Clients: they run their programs call by call, and log the results.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tessera::{Clock as _, Grant, Session, SessionError, Sessions};

use super::calls::{Call, Told};
use super::linear::Observed;
use super::plan::Act;
use super::store::{BoardClock, lock};

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
pub struct Client {
    /// Its number.
    pub number: usize,
    /// Its engine.
    pub sessions: Sessions,
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
struct Open {
    session: Session,
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

impl Client {
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

    async fn act(&mut self, place: usize, act: Act, open: &mut Option<Open>, handles: &mut usize) -> Then {
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
                    Err(error) => self.end(refused(&error)),
                    Ok(session) => {
                        let told = seen(&session);
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
                        open.insert(Open {
                            session: self.sessions.create(),
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
                    Ok(_) => Told::Done,
                    Err(error) => match refused(&error) {
                        // Some pages may be complete.
                        Told::Unavailable | Told::InstanceLost | Told::Contended => Told::Unknown,
                        told => told,
                    },
                };
                self.end(told)
            }
            Act::Revoke(subject) => {
                // A token identifies its session, even if that has ended.
                let claims = self
                    .token
                    .as_deref()
                    .map(|token| self.sessions.verify(token, None));
                let (Some(Ok(claims)), Some(token)) = (claims, &self.token) else {
                    return Then::Stop;
                };
                self.begin(Call::Revoke {
                    key: key_and_generation(token).0,
                    subject: subject.into(),
                });
                let told = match self.sessions.revoke(subject, &claims.public_id).await {
                    Ok(true) => Told::Done,
                    Ok(false) => Told::Missing,
                    Err(error) => refused(&error),
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
    fn learn_key(&self, open: &mut Option<Open>) {
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
        (session, handle, key): (&Session, usize, &String),
        act: Act,
        value: &str,
    ) -> Then {
        let key = key.clone();
        match act {
            Act::Save(field) => {
                let fields = BTreeMap::from([(field.to_owned(), value.to_owned())]);
                if let Err(error) = session.set(field, value) {
                    return then(&refused(&error));
                }
                self.begin(Call::Save { handle, key, fields });
                let granted = session.save().await;
                self.granted(session, granted)
            }
            Act::Rotate => {
                self.begin(Call::Rotate { handle, key });
                let granted = session.rotate().await;
                self.granted(session, granted)
            }
            Act::Touch => {
                self.begin(Call::Touch { handle, key });
                let touched = session.touch().await;
                self.end(touched.map_or_else(|error| refused(&error), |_| Told::Done))
            }
            Act::Destroy => {
                self.begin(Call::Destroy { handle, key });
                let ended = session.destroy().await;
                self.end(ended.map_or_else(|error| refused(&error), |()| Told::Done))
            }
            Act::Login(subject) => self.login((session, handle, &key), subject, value).await,
            Act::Open | Act::Enter(_) | Act::Revoke(_) | Act::RevokeAll(_) => Then::Stop,
        }
    }

    async fn login(
        &mut self,
        (session, handle, key): (&Session, usize, &String),
        subject: &str,
        value: &str,
    ) -> Then {
        let fields = BTreeMap::from([("by".to_owned(), value.to_owned())]);
        if let Err(error) = session.set("by", value) {
            return then(&refused(&error));
        }
        let (key, subject_text) = (key.clone(), subject.to_owned());
        self.begin(Call::Login {
            handle,
            key,
            subject: subject_text,
            fields,
        });
        let granted = session.authenticate(subject).await;
        self.granted(session, granted)
    }

    fn new_handle(&self, handles: &mut usize) -> usize {
        *handles += 1;
        self.number * HANDLES + *handles - 1
    }

    fn begin(&self, call: Call) {
        let now = self.clock.now().as_millis();
        lock(&self.log).calls.push(Observed::new(call, now));
    }

    fn granted(&mut self, session: &Session, granted: Result<Grant, SessionError>) -> Then {
        match granted {
            Err(error) => self.end(refused(&error)),
            Ok(Grant { token: None, .. }) => self.end(Told::Done),
            Ok(Grant {
                token: Some(token), ..
            }) => {
                let generation = key_and_generation(&token).1;
                if !self.leaves.load(Ordering::Relaxed) {
                    let subject = session.subject().unwrap_or_default();
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

/// The result of an open: the session's subject and fields.
pub fn seen(session: &Session) -> Told {
    let read = || -> Result<Told, SessionError> {
        let subject = session.subject()?;
        let fields = session.entries()?.into_iter().map(|(name, value)| match value {
            tessera::Value::Text(text) => (name, text),
            other => (name, format!("{other:?}")),
        });
        Ok(Told::Opened {
            subject,
            fields: fields.collect(),
        })
    };
    read().unwrap_or_else(|error| Told::Odd(error.to_string()))
}

/// Converts an error to a result of the model.
pub fn refused(error: &SessionError) -> Told {
    match error {
        // A handle that one of its own calls has closed returns `Closed`.
        SessionError::Missing | SessionError::Closed => Told::Missing,
        SessionError::Replaced => Told::Replaced,
        SessionError::Reused => Told::Reused,
        SessionError::TooManySessions => Told::TooMany,
        SessionError::Contended => Told::Contended,
        SessionError::Unavailable { .. } => Told::Unavailable,
        SessionError::InstanceLost { .. } => Told::InstanceLost,
        SessionError::OutcomeUnknown { .. } => Told::Unknown,
        other => Told::Odd(other.to_string()),
    }
}
