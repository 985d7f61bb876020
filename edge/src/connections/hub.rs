//! The connections of this Worker, for the routes of `tessera-http`.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tessera_connections::{
    Connection, Cursor, EndReason, Head, Holder, Login, Mailbox as _, MailboxError, Message, MessageId, Name,
    Registration, SendKey, gone, left_behind,
};
use tessera_http::connections::{Close, Hub, HubError, Sockets};
use tessera_http::{
    Details, Engine as _, EngineError as _, EngineSession as _, ErrorKind, PageRequest, Problem,
};
use wasm_bindgen::prelude::*;

use super::EdgeConnections;
use super::client::EdgeClient;
use super::protocol::{Accepted, Found};
use super::settings::{BOUNDS, DETACHED_FOR, LONGEST_POLL};
use crate::boxed::boxed;
use crate::engine::EdgeEngine;
use crate::error::EdgeError;
use crate::message::Handed;
use crate::registry::LIFETIME;
use crate::session::EdgeSession;
use crate::store::StoreError;
use crate::{clock, random};

/// The number of connections of a page.
const PAGE: u32 = 100;
/// The number of sessions of a page of a subject: with the connections of more, a request could exceed its operations.
const SESSIONS: usize = 16;
/// Separates the engine's cursor from the last session of the previous page.
const SEPARATOR: char = '!';

#[wasm_bindgen(raw_module = "./socket.js")]
extern "C" {
    #[wasm_bindgen(js_name = refuseSocket)]
    fn refuse_socket(code: u16, reason: &str) -> web_sys::Response;
}

fn of_engine(error: EdgeError) -> HubError {
    Problem::of(&error).into()
}

fn of_store(error: StoreError) -> HubError {
    of_engine(EdgeError::of_connections(error))
}

fn of_mailbox(error: MailboxError) -> HubError {
    match error {
        MailboxError::Missing => HubError::Missing,
        MailboxError::Ended => HubError::Ended,
        MailboxError::Full => HubError::Full,
        MailboxError::TooLarge { maximum } => HubError::TooLarge(maximum),
        MailboxError::Taken => of_store(StoreError::Corrupt),
        MailboxError::Store(error) => of_store(error),
    }
}

fn shown(found: Vec<Found>) -> Result<Vec<Connection>, HubError> {
    let shown = found.into_iter().map(|found| {
        let Found { walked, is_attached } = found;
        let head = Head::read(&walked.head).map_err(|_| of_store(StoreError::Corrupt))?;
        Ok(Connection {
            head,
            is_attached,
            name: walked.name,
            ended: walked.ended,
        })
    });
    shown.collect()
}

impl EdgeConnections {
    /// Enters a connection in the registry. If the session has too many, those that were left behind are removed first.
    async fn enter(&self, session: &str) -> Result<Name, HubError> {
        for is_second in [false, true] {
            match self.registry.enter(session).await {
                Ok(name) => return name.ok_or_else(|| of_store(StoreError::Corrupt)),
                Err(error) if error.kind() != ErrorKind::TooManySessions => return Err(of_engine(error)),
                Err(_) if is_second || !self.remove_left_behind(session).await? => break,
                Err(_) => {}
            }
        }
        Err(HubError::TooManyOfSession)
    }

    /// Removes connections of a session that were left behind; returns whether there were any.
    async fn remove_left_behind(&self, session: &str) -> Result<bool, HubError> {
        let entries = self.registry.of_session(session).await.map_err(of_engine)?;
        let names: Vec<Name> = entries.iter().map(|entry| entry.name.clone()).collect();
        let found = self
            .mailbox
            .find(clock::now(), &names)
            .await
            .map_err(of_mailbox)?;
        let there: Vec<&Name> = found.iter().map(|found| &found.walked.name).collect();
        let gone = gone(&entries, &there, clock::now());
        for name in &gone {
            self.unregister(session, name).await?;
        }
        if !gone.is_empty() {
            return Ok(true);
        }
        match left_behind(&entries, &shown(found)?, clock::now(), DETACHED_FOR) {
            Some(oldest) => {
                self.end(oldest, EndReason::Closed).await?;
                self.unregister(session, oldest).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn unregister(&self, session: &str, name: &Name) -> Result<(), HubError> {
        let left = self.registry.leave(session, name).await;
        left.map_err(of_engine)
    }

    async fn end(&self, name: &Name, reason: EndReason) -> Result<bool, HubError> {
        let now = clock::now();
        let ended = self
            .mailbox
            .end(now, name, reason, now.saturating_add(DETACHED_FOR))
            .await;
        ended.map_err(of_mailbox)
    }

    async fn new_connection(
        &self,
        session: &EdgeSession,
        registration: Registration,
    ) -> Result<(Name, Details), HubError> {
        let details = session.details().map_err(of_engine)?;
        let (handle, key) = session.handle_and_key().map_err(of_engine)?;
        let created_at = clock::now();
        let head = Head {
            session: details.public_id.clone(),
            subject: details.subject.clone(),
            prefix: registration.prefix,
            kind: registration.kind,
            created_at,
            authenticated_at: details.authenticated_at,
            ends_at: details.ends_at.min(created_at.saturating_add(LIFETIME)),
            request: registration.request,
        };
        let text = head.write().map_err(|error| {
            let problem = Problem::new(422, "invalid-argument", error.to_string());
            HubError::Other(problem)
        })?;
        let name = self.enter(&head.session).await?;
        let until = created_at.saturating_add(DETACHED_FOR);
        let opened = async {
            self.mailbox.open(clock::now(), &name, &text, until).await?;
            self.mailbox.bind(&name, handle, key).await
        };
        match opened.await {
            Ok(()) => Ok((name, details)),
            Err(error) => {
                // What is left goes with the mailbox's time, or makes room for other connections.
                let _left = self.unregister(&head.session, &name).await;
                Err(match error {
                    // The session has ended meanwhile.
                    MailboxError::Ended | MailboxError::Missing => of_engine(EdgeError::missing()),
                    error => of_mailbox(error),
                })
            }
        }
    }

    async fn join(&self, name: &Name, after: MessageId, details: &Details) -> Result<EdgeClient, HubError> {
        let holder = Holder {
            node: 0,
            attachment: random::number(),
        };
        let joined = self.mailbox.join(name, Login::of(details), holder, after).await;
        joined.map_err(of_mailbox)?;
        Ok(EdgeClient {
            mailbox: self.mailbox.clone(),
            name: name.clone(),
            holder,
            after,
        })
    }

    async fn those_of_session(&self, session: &str) -> Result<Vec<Connection>, HubError> {
        let entries = self.registry.of_session(session).await;
        let entries = entries.map_err(of_engine)?;
        let names: Vec<Name> = entries.into_iter().map(|entry| entry.name).collect();
        let found = self.mailbox.find(clock::now(), &names).await;
        shown(found.map_err(of_mailbox)?)
    }
}

/// Splits the cursor of a subject's page into the engine's cursor, and the last session of the page before.
fn split(cursor: Option<&str>) -> (Option<&str>, Option<&str>) {
    match cursor.and_then(|cursor| cursor.rsplit_once(SEPARATOR)) {
        Some((of_engine, last)) => (Some(of_engine).filter(|text| !text.is_empty()), Some(last)),
        None => (cursor, None),
    }
}

impl Hub<EdgeEngine> for EdgeConnections {
    type Client = EdgeClient;

    async fn register(&self, session: &EdgeSession, registration: Registration) -> Result<Name, HubError> {
        boxed(async move { Ok(self.new_connection(session, registration).await?.0) }).await
    }

    async fn open(
        &self,
        session: &EdgeSession,
        registration: Registration,
    ) -> Result<(Name, EdgeClient), HubError> {
        boxed(async move {
            let (name, details) = self.new_connection(session, registration).await?;
            match self.join(&name, MessageId::START, &details).await {
                Ok(client) => Ok((name, client)),
                Err(error) => {
                    let _stays_for_a_while = self.close(&name).await;
                    Err(error)
                }
            }
        })
        .await
    }

    async fn attach(
        &self,
        name: &Name,
        after: MessageId,
        session: &EdgeSession,
    ) -> Result<EdgeClient, HubError> {
        boxed(async move {
            let details = session.details().map_err(of_engine)?;
            self.join(name, after, &details).await
        })
        .await
    }

    /// The runtime pings by itself.
    fn sign_of_life(&self) -> Duration {
        Duration::MAX
    }

    fn longest_poll(&self) -> Duration {
        LONGEST_POLL
    }

    fn maximum_message_bytes(&self) -> u32 {
        BOUNDS.maximum_message_bytes
    }

    async fn send(
        &self,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
    ) -> Result<MessageId, HubError> {
        let sent = self
            .mailbox
            .append(clock::now(), name, message, key, &BOUNDS)
            .await;
        sent.map_err(of_mailbox)
    }

    async fn get(&self, name: &Name) -> Result<Connection, HubError> {
        let found = self.mailbox.find(clock::now(), std::slice::from_ref(name)).await;
        let connections = shown(found.map_err(of_mailbox)?)?;
        connections.into_iter().next().ok_or(HubError::Missing)
    }

    async fn of_session(&self, session: &str) -> Result<Vec<Connection>, HubError> {
        boxed(self.those_of_session(session)).await
    }

    async fn of_subject(
        &self,
        subject: &str,
        cursor: Option<&str>,
    ) -> Result<(Vec<Connection>, Option<String>), HubError> {
        boxed(async move {
            let (of_engine_cursor, last) = split(cursor);
            let request = PageRequest {
                current: None,
                cursor: of_engine_cursor,
            };
            let page = self.engine.list(subject, request).await;
            let page = page.map_err(of_engine)?;
            let seen = page
                .items
                .iter()
                .position(|session| Some(session.public_id.as_str()) == last)
                .map_or(0, |at| at + 1);
            let sessions = page.items.get(seen..).unwrap_or_default();
            let mut connections = Vec::new();
            for session in sessions.iter().take(SESSIONS) {
                connections.extend(self.those_of_session(&session.public_id).await?);
            }
            let next = match sessions.get(SESSIONS - 1) {
                Some(last) if sessions.len() > SESSIONS => {
                    let of_engine_cursor = of_engine_cursor.unwrap_or_default();
                    Some(format!("{of_engine_cursor}{SEPARATOR}{}", last.public_id))
                }
                _ => page.next,
            };
            Ok((connections, next))
        })
        .await
    }

    async fn walk(
        &self,
        prefix: &str,
        kind: &str,
        cursor: &str,
    ) -> Result<(Vec<Connection>, Option<String>), HubError> {
        boxed(async move {
            let page = self.mailbox.find_page(clock::now(), cursor, PAGE).await;
            let (found, next) = page.map_err(of_mailbox)?;
            let mut connections = shown(found)?;
            connections.retain(|connection| {
                connection.head.prefix.starts_with(prefix)
                    && (kind.is_empty() || connection.head.kind == kind)
            });
            Ok((connections, next))
        })
        .await
    }

    async fn close_session(&self, session: &str) -> Result<usize, HubError> {
        boxed(async move {
            let entries = self.registry.of_session(session).await;
            let (mut ended, mut failed) = (0, None);
            for entry in entries.map_err(of_engine)? {
                // A failure ends no connection less.
                let over = match self.end(&entry.name, EndReason::SessionOver).await {
                    Ok(this) => {
                        ended += usize::from(this);
                        self.unregister(session, &entry.name).await
                    }
                    Err(error) => Err(error),
                };
                failed = failed.or(over.err());
            }
            failed.map_or(Ok(ended), Err)
        })
        .await
    }

    async fn close(&self, name: &Name) -> Result<(), HubError> {
        boxed(async move {
            let connection = self.get(name).await?;
            self.end(name, EndReason::Closed).await?;
            self.unregister(&connection.head.session, name).await
        })
        .await
    }
}

impl Sockets<EdgeEngine> for EdgeConnections {
    async fn accept(&self, client: EdgeClient, at: Cursor, first: Vec<String>) -> Result<Response, HubError> {
        boxed(async move {
            let accepted = Accepted {
                holder: client.holder,
                after: at.after,
                first,
            };
            let response = self.mailbox.accept(&client.name, &accepted).await;
            let response = response.map_err(of_store)?;
            Ok(handed(response))
        })
        .await
    }

    fn refuse(&self, Close { code, reason }: Close) -> Response {
        handed(refuse_socket(code, reason))
    }
}

/// The response with the client's end of a socket.
fn handed(response: web_sys::Response) -> Response {
    let mut switching = StatusCode::SWITCHING_PROTOCOLS.into_response();
    switching.extensions_mut().insert(Handed::new(response));
    switching
}
