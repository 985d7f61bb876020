//! [`Connections`]: the calls on connections, wherever they are attached.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tessera_connections::{
    Connection, EndReason, Head, Holder, Limit, Login, Mailbox, MailboxError, Message, MessageId, Name,
    Registration, Return, SendKey, Walked, gone, left_behind,
};
use tokio::sync::{Notify, RwLock};

use super::attached::{Attached, Closing, lock};
use super::attachment::Attachment;
use super::beat;
use super::error::ConnectionError;
use super::node::{Node, Place, draw};
use super::presence::Presence;
use super::registry::Registry;
use super::settings::Settings;
use super::watch::Watch;
use crate::driver::detached;
use crate::error::ConfigurationError;
use crate::{PageRequest, Session, SessionError, Sessions};

/// One node: it registers connections, sends to any connection, and has the sockets of those that are attached to it.
///
/// Cheap to clone; a clone is the same node. When the last clone and the last attachment are dropped, the node stops.
pub struct Connections<M> {
    pub(super) node: Arc<Node<M>>,
}

impl<M> Clone for Connections<M> {
    fn clone(&self) -> Self {
        Self {
            node: Arc::clone(&self.node),
        }
    }
}

impl<M> fmt::Debug for Connections<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl<M: Mailbox> Connections<M> {
    pub(super) fn start(
        sessions: Sessions,
        mailbox: M,
        settings: Settings,
    ) -> Result<Self, ConfigurationError> {
        let Settings {
            per_session,
            lifetime,
            lease,
            ..
        } = settings;
        let registry = Registry::beside(&sessions, per_session, lifetime, lease)?;
        let node = Arc::new(Node {
            sessions,
            registry,
            mailbox,
            settings,
            id: draw().map_err(ConfigurationError::Engine)?,
            presence: Presence::default(),
            attached: Mutex::default(),
            records: Arc::default(),
            count: AtomicUsize::new(0),
            leaving: Mutex::default(),
            detaching: AtomicUsize::new(0),
            detached: Notify::new(),
            renewing: RwLock::default(),
            is_closing: AtomicBool::new(false),
            tasks: Mutex::default(),
        });
        *lock(&node.tasks) = beat::start(&node);
        Ok(Self { node })
    }

    /// Registers a connection of a session, and returns its name. Attach it within the time of
    /// [`detached_for`](super::ConnectionsBuilder::detached_for).
    ///
    /// The connection ends with the session, or when a login replaces the session's token.
    ///
    /// # Errors
    /// [`ConnectionError::TooManyOfSession`], [`ConnectionError::InvalidHead`];
    /// [`ConnectionError::Session`] with [`SessionError::Draft`] if the session was never saved;
    /// [`ConnectionError::Mailbox`].
    pub async fn register(
        &self,
        session: &Session,
        registration: Registration,
    ) -> Result<Name, ConnectionError> {
        Ok(self.enter_with_head(session, registration).await?.0)
    }

    async fn enter_with_head(
        &self,
        session: &Session,
        registration: Registration,
    ) -> Result<(Name, Head), ConnectionError> {
        let node = &self.node;
        let details = session.details()?;
        session.handle_and_key()?;
        let created_at = node.now();
        let head = Head {
            session: details.public_id,
            subject: details.subject,
            prefix: registration.prefix,
            kind: registration.kind,
            created_at,
            authenticated_at: details.authenticated_at,
            ends_at: details
                .ends_at
                .min(created_at.saturating_add(node.settings.lifetime)),
            request: registration.request,
        };
        let text = head.write()?;
        let name = self.enter_and_note(&head.session).await?;
        let until = node.in_time(node.settings.detached_for);
        let opened = node.mailbox.open(node.now(), &name, &text, until).await;
        if let Err(error) = opened {
            node.leave(&head.session, &name).await;
            return Err(error.into());
        }
        Ok((name, head))
    }

    /// Enters a connection in the registry, and notes that it is without a client.
    ///
    /// The entry is written even if the caller gives up meanwhile, as one does whose client has gone. So the node notes the entry
    /// in any case, and removes it later.
    async fn enter_and_note(&self, session: &str) -> Result<Name, ConnectionError> {
        let (connections, session) = (self.clone(), session.to_owned());
        let begun = Arc::clone(self.node.sessions.calls().begun());
        detached(Arc::new(AtomicBool::new(true)), begun, async move {
            let name = connections.enter(&session).await?;
            connections.node.note_leaving(&session, &name);
            Ok(name)
        })
        .await
    }

    /// Enters a connection in the registry. If the session has too many, those that were left behind are removed first.
    async fn enter(&self, session: &str) -> Result<Name, ConnectionError> {
        match self.node.registry.enter(session).await {
            Err(SessionError::TooManySessions) => {}
            entered => return Ok(entered?),
        }
        if self.remove_left_behind(session).await? == 0 {
            return Err(ConnectionError::TooManyOfSession);
        }
        match self.node.registry.enter(session).await {
            Err(SessionError::TooManySessions) => Err(ConnectionError::TooManyOfSession),
            entered => Ok(entered?),
        }
    }

    /// Registers a connection, and attaches its client to this node. If the client cannot be attached, nothing is left.
    ///
    /// # Errors
    /// As [`register`](Self::register) and [`attach`](Self::attach).
    pub async fn open(
        &self,
        session: &Session,
        registration: Registration,
    ) -> Result<Attachment<M>, ConnectionError> {
        // Before the registration, which would count towards the session's connections.
        let (place, watch) = (self.node.reserve()?, Watch::of(session)?);
        let (name, head) = self.enter_with_head(session, registration).await?;
        let attached = self.attach_to(&name, head, MessageId::START, watch, place).await;
        if attached.is_err()
            && let Err(error) = self.close(&name).await
        {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a connection without a client stays for a while"
            );
        }
        attached
    }

    /// Removes connections of a session that were left behind: those without a mailbox, and if there are none, the oldest one
    /// that has ended or is without a client, and has had the time to attach one. Returns their number.
    async fn remove_left_behind(&self, session: &str) -> Result<usize, ConnectionError> {
        let node = &self.node;
        let entries = node.registry.of_session(session).await?;
        let names: Vec<Name> = entries.iter().map(|entry| entry.name.clone()).collect();
        let found = node.mailbox.look(node.now(), &names).await?;
        let there: Vec<&Name> = found.iter().map(|found| &found.name).collect();
        let gone = gone(&entries, &there, node.now());
        for name in &gone {
            node.registry.leave(session, name).await?;
        }
        if !gone.is_empty() {
            return Ok(gone.len());
        }
        let holders = holders(&found);
        // A client of a process that was killed is none. After an outage of the store, the processes that live have yet to show it.
        let living = if node.presence.is_steady(node.settings.beat) {
            node.living(&holders).await?
        } else {
            holders
        };
        let shown = shown(found, &living)?;
        match left_behind(&entries, &shown, node.now(), node.settings.detached_for) {
            Some(oldest) => {
                node.end(oldest, EndReason::Closed).await?;
                node.registry.leave(session, oldest).await?;
                Ok(1)
            }
            None => Ok(0),
        }
    }

    /// Attaches the client of a connection to this node, after the last message that it has received.
    ///
    /// Any other attachment of the connection, at any node, ends with [`Event::TakenOver`](super::Event::TakenOver).
    ///
    /// # Errors
    /// [`ConnectionError::Missing`] if there is no such connection of this session, or it has ended by its life or a full mailbox
    /// and nothing is left to deliver; [`ConnectionError::Ended`] if it was closed and nothing is left to deliver, or the session
    /// has ended; [`ConnectionError::TooManyOnNode`], [`ConnectionError::Session`],
    /// [`ConnectionError::Mailbox`].
    pub async fn attach(
        &self,
        name: &Name,
        after: MessageId,
        session: &Session,
    ) -> Result<Attachment<M>, ConnectionError> {
        let node = &self.node;
        let (details, watch) = (session.details()?, Watch::of(session)?);
        let place = node.reserve()?;
        let head = self.head(name).await?;
        if !head.is_of(&Login::of(&details)) {
            return Err(ConnectionError::Missing);
        }
        self.attach_to(name, head, after, watch, place).await
    }

    /// Attaches a client to the mailbox with this head.
    async fn attach_to(
        &self,
        name: &Name,
        head: Head,
        after: MessageId,
        watch: Watch,
        place: Place<M>,
    ) -> Result<Attachment<M>, ConnectionError> {
        let node = &self.node;
        let holder = Holder {
            node: node.id,
            attachment: draw()?,
        };
        let until = node.in_time(node.settings.lease);
        let attached = Arc::new(Attached::new(name.clone(), holder, head, watch));
        node.admit(&attached);
        // From here on, the attachment's drop removes it.
        let attachment = Attachment::new(Arc::clone(node), place, Arc::clone(&attached), after);
        if node.is_closing.load(Ordering::SeqCst) {
            attachment.close(Closing::TryAgain);
        }
        match node.mailbox.attach(node.now(), name, holder, until).await {
            Ok(()) => {
                attached.set_holder();
                Ok(attachment)
            }
            Err(MailboxError::Ended) => {
                let one = Limit {
                    messages: 1,
                    bytes: 1,
                };
                let batch = node.mailbox.read(node.now(), name, after, one).await?;
                match batch.on_return() {
                    Return::Rest => Ok(attachment),
                    Return::Anew => Err(ConnectionError::Missing),
                    Return::Over => Err(ConnectionError::Ended),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a message to a connection, wherever it is attached, in one round trip to the store, and returns its id.
    ///
    /// A message with the `key` of one of the last 16 is not sent again; the result is the id of that one.
    /// After [`StoreError::OutcomeUnknown`](crate::store::StoreError::OutcomeUnknown), send it again with the same key.
    ///
    /// # Errors
    /// [`ConnectionError::Missing`], [`ConnectionError::Ended`], [`ConnectionError::Full`], [`ConnectionError::TooLarge`],
    /// [`ConnectionError::Mailbox`].
    pub async fn send(
        &self,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
    ) -> Result<MessageId, ConnectionError> {
        let node = &self.node;
        let bounds = &node.settings.bounds;
        Ok(node
            .mailbox
            .append(node.now(), name, message, key, bounds)
            .await?)
    }

    async fn head(&self, name: &Name) -> Result<Head, ConnectionError> {
        let found = self.look(std::slice::from_ref(name)).await?;
        let found = found.into_iter().next().ok_or(ConnectionError::Missing)?;
        Ok(Head::read(&found.head)?)
    }

    async fn look(&self, names: &[Name]) -> Result<Vec<Walked>, ConnectionError> {
        Ok(self.node.mailbox.look(self.node.now(), names).await?)
    }

    /// Returns a connection.
    ///
    /// # Errors
    /// [`ConnectionError::Missing`], [`ConnectionError::Mailbox`].
    pub async fn get(&self, name: &Name) -> Result<Connection, ConnectionError> {
        let found = self.look(std::slice::from_ref(name)).await?;
        let connections = self.shown(found).await?;
        connections.into_iter().next().ok_or(ConnectionError::Missing)
    }

    /// Returns the connections of a session, given its public id.
    ///
    /// # Errors
    /// [`ConnectionError::Session`], [`ConnectionError::Mailbox`].
    pub async fn of_session(&self, session: &str) -> Result<Vec<Connection>, ConnectionError> {
        let entries = self.node.registry.of_session(session).await?;
        let names: Vec<Name> = entries.into_iter().map(|entry| entry.name).collect();
        let found = self.look(&names).await?;
        self.shown(found).await
    }

    /// Returns the connections of one page of a subject's sessions, and the cursor of the next page.
    ///
    /// # Errors
    /// As [`Sessions::list`]; [`ConnectionError::Mailbox`].
    pub async fn of_subject(
        &self,
        subject: &str,
        cursor: Option<&str>,
    ) -> Result<(Vec<Connection>, Option<String>), ConnectionError> {
        let request = PageRequest {
            current: None,
            cursor,
        };
        let page = self.node.sessions.list(subject, request).await?;
        let mut connections = Vec::new();
        for session in &page.items {
            connections.extend(self.of_session(&session.public_id).await?);
        }
        Ok((connections, page.next))
    }

    /// Lists all connections with this prefix and kind, about `limit` at a time; the empty texts select all. `None` is the end.
    ///
    /// A connection that exists throughout a walk is listed at least once. A page may be empty.
    ///
    /// # Errors
    /// [`ConnectionError::Mailbox`], with [`StoreError::MalformedCursor`](crate::store::StoreError::MalformedCursor) for an
    /// invalid cursor.
    pub async fn walk(
        &self,
        prefix: &str,
        kind: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Connection>, Option<String>), ConnectionError> {
        let node = &self.node;
        let (found, next) = node.mailbox.walk(node.now(), cursor, limit).await?;
        // The mailboxes of nodes have no head.
        let found = found
            .into_iter()
            .filter(|found| found.head.starts_with("{\""))
            .collect();
        let mut connections = self.shown(found).await?;
        connections.retain(|connection| {
            connection.head.prefix.starts_with(prefix) && (kind.is_empty() || connection.head.kind == kind)
        });
        Ok((connections, next))
    }

    /// Ends a connection. Messages that were sent before are still delivered.
    ///
    /// # Errors
    /// [`ConnectionError::Missing`], [`ConnectionError::Session`], [`ConnectionError::Mailbox`].
    pub async fn close(&self, name: &Name) -> Result<(), ConnectionError> {
        let head = self.head(name).await?;
        self.node.end(name, EndReason::Closed).await?;
        self.node.registry.leave(&head.session, name).await?;
        Ok(())
    }

    /// Ends all connections of a session that has ended, given its public id, without waiting for the nodes to notice.
    /// Returns the number of connections that this call ended.
    ///
    /// # Errors
    /// [`ConnectionError::Session`], [`ConnectionError::Mailbox`].
    pub async fn close_session(&self, session: &str) -> Result<usize, ConnectionError> {
        let (mut ended, mut failed) = (0, None);
        for entry in self.node.registry.of_session(session).await? {
            // A failure ends no connection less.
            match self.node.end(&entry.name, EndReason::SessionOver).await {
                Ok(this) => {
                    ended += usize::from(this);
                    self.node.leave(session, &entry.name).await;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(ended), |error| Err(error.into()))
    }

    /// Ends all attachments of this node with [`Event::TryAgain`](super::Event::TryAgain), and those to come, because the node
    /// stops. The connections go on: their clients come back to another node.
    pub fn shut_down(&self) {
        self.node.is_closing.store(true, Ordering::SeqCst);
        for attached in self.node.attachments() {
            attached.close(Closing::TryAgain);
        }
    }

    /// Waits until the clients that have gone are detached, so that their mailboxes do not live until the end of their lease.
    pub async fn finish(&self) {
        loop {
            let detached = self.node.detached.notified();
            tokio::pin!(detached);
            // Registered before the count is read.
            detached.as_mut().enable();
            // In this order, because an attachment that is dropped raises the one before it lowers the other.
            if self.attached() == 0 && self.node.detaching.load(Ordering::SeqCst) == 0 {
                return;
            }
            detached.await;
        }
    }

    /// The number of clients that are attached to this node.
    pub fn attached(&self) -> usize {
        self.node.count.load(Ordering::SeqCst)
    }

    /// Reads the heads, and which of the holders live.
    async fn shown(&self, found: Vec<Walked>) -> Result<Vec<Connection>, ConnectionError> {
        let living = self.node.living(&holders(&found)).await?;
        shown(found, &living)
    }
}

/// The nodes that hold these mailboxes.
fn holders(found: &[Walked]) -> BTreeSet<u64> {
    let holders = found.iter().filter_map(|found| found.holder);
    holders.map(|holder| holder.node).collect()
}

/// Reads the heads. Those whose holder lives have a client.
fn shown(found: Vec<Walked>, living: &BTreeSet<u64>) -> Result<Vec<Connection>, ConnectionError> {
    let shown = found.into_iter().map(|found| {
        Ok(Connection {
            head: Head::read(&found.head)?,
            is_attached: found.ended.is_none()
                && found.holder.is_some_and(|holder| living.contains(&holder.node)),
            name: found.name,
            ended: found.ended,
        })
    });
    shown.collect()
}
