//! The mailboxes of connections: one Durable Object for each, and a directory of their names.

use std::time::Duration;

use futures_util::Stream;
use futures_util::future::join_all;
use futures_util::stream::pending;
use tessera_connections::{
    Batch, Bounds, Changed, Delivery, EndReason, Holder, Limit, Login, Mailbox, MailboxError, Message,
    MessageId, Name, SendKey, Walked,
};
use tessera_contract::Timestamp;
use worker::ObjectNamespace;

use super::protocol::{Accepted, Found, Reply, Request};
use crate::boxed::boxed;
use crate::objects::{Failure, ask, connect};
use crate::registry::LIFETIME;
use crate::store::{Cause, Directory, StoreError};
use crate::{deadline, random};

/// The number of objects that are asked at the same time.
const CONCURRENT: usize = 32;

/// Mailboxes in Durable Objects.
///
/// An object delivers to the client's socket or poll by itself, so that [`changed`](Mailbox::changed) reports nothing.
#[derive(Clone)]
pub(crate) struct DurableMailbox {
    objects: ObjectNamespace,
    directory: Directory,
    space: String,
    timeout_ms: u64,
}

fn unexpected() -> MailboxError {
    StoreError::Other(Cause::new(
        "the answer of a connection's object is of another question",
    ))
    .into()
}

/// The name of a connection's object.
pub(super) fn object_name(space: &str, name: &Name) -> String {
    format!("{space}c:{name}")
}

impl DurableMailbox {
    /// `space` is the prefix of the objects' names.
    pub(crate) fn new(
        objects: ObjectNamespace,
        owners: ObjectNamespace,
        space: &str,
        timeout_ms: u64,
    ) -> Self {
        Self {
            objects,
            directory: Directory::new(owners, space),
            space: space.to_owned(),
            timeout_ms,
        }
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Sends a question that may be repeated, or whose repetition finds that it was done.
    async fn ask(&self, name: &Name, question: &Request) -> Result<Reply, MailboxError> {
        self.ask_within(self.timeout_ms, name, question, Failure::of_read)
            .await
    }

    async fn ask_within(
        &self,
        timeout_ms: u64,
        name: &Name,
        question: &Request,
        of: fn(Failure) -> StoreError,
    ) -> Result<Reply, MailboxError> {
        let name = object_name(&self.space, name);
        let asked = deadline::within(timeout_ms, ask(&self.objects, &name, question));
        match asked.await.unwrap_or_else(|| Err(Failure::late())) {
            Ok(Reply::Refused(error)) => Err(error),
            Ok(reply) => Ok(reply),
            Err(failure) => Err(of(failure).into()),
        }
    }

    async fn done(&self, name: &Name, question: &Request) -> Result<(), MailboxError> {
        match self.ask(name, question).await? {
            Reply::Done => Ok(()),
            _ => Err(unexpected()),
        }
    }

    async fn applied(&self, name: &Name, question: &Request) -> Result<bool, MailboxError> {
        match self.ask(name, question).await? {
            Reply::Applied(applied) => Ok(applied),
            _ => Err(unexpected()),
        }
    }

    /// Returns the mailboxes of these names that exist.
    pub(super) async fn find(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Found>, MailboxError> {
        boxed(async move {
            let mut found = Vec::new();
            for some in names.chunks(CONCURRENT) {
                let looked = some.iter().map(|name| async move {
                    match self.ask(name, &Request::Look { now }).await? {
                        Reply::Found(found) => Ok(found),
                        _ => Err(unexpected()),
                    }
                });
                for each in join_all(looked).await {
                    found.extend(each?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Returns one page of all mailboxes.
    pub(super) async fn find_page(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Found>, Option<String>), MailboxError> {
        boxed(async move {
            let (names, next) = self.directory.page(cursor, limit.max(1)).await?;
            let names: Vec<Name> = names.iter().filter_map(|name| name.parse().ok()).collect();
            Ok((self.find(now, &names).await?, next))
        })
        .await
    }

    /// Sends a question of a test.
    #[cfg(feature = "test-routes")]
    pub(crate) async fn ask_for_test(&self, name: &Name, question: &Request) -> Result<Reply, MailboxError> {
        match question {
            Request::Open { now, head, until, .. } => {
                self.open(*now, name, head, *until).await.map(|()| Reply::Done)
            }
            _ => self.ask(name, question).await,
        }
    }

    /// Lets a connection end with the session of this handle.
    pub(super) async fn bind(&self, name: &Name, handle: String, key: String) -> Result<(), MailboxError> {
        self.done(name, &Request::Bind { handle, key }).await
    }

    /// Attaches a client of a login after a message.
    pub(super) async fn join(
        &self,
        name: &Name,
        login: Login,
        holder: Holder,
        after: MessageId,
    ) -> Result<(), MailboxError> {
        let question = Request::Join { login, holder, after };
        self.done(name, &question).await
    }

    /// Waits for the events after a message.
    pub(super) async fn poll(
        &self,
        name: &Name,
        holder: Holder,
        after: MessageId,
        wait: Duration,
    ) -> Result<Vec<Delivery>, MailboxError> {
        let wait_ms = tessera_contract::millis(wait);
        let question = Request::Poll {
            holder,
            after,
            wait_ms,
        };
        let timeout_ms = self.timeout_ms.saturating_add(wait_ms);
        match self
            .ask_within(timeout_ms, name, &question, Failure::of_read)
            .await?
        {
            Reply::Deliveries(deliveries) => Ok(deliveries),
            _ => Err(unexpected()),
        }
    }

    /// Hands the socket of a handshake over to the connection's object, and returns the response to the handshake.
    pub(super) async fn accept(
        &self,
        name: &Name,
        accepted: &Accepted,
    ) -> Result<web_sys::Response, StoreError> {
        let name = object_name(&self.space, name);
        let connected = deadline::within(self.timeout_ms, connect(&self.objects, &name, accepted));
        let connected = connected.await.unwrap_or_else(|| Err(Failure::late()));
        connected.map_err(Failure::of_read)
    }
}

impl Mailbox for DurableMailbox {
    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        boxed(async move {
            // First, because a name without a mailbox is skipped, and a mailbox without a name would never be listed.
            self.directory
                .enter(now, name.as_str(), now.saturating_add(LIFETIME))
                .await?;
            let question = Request::Open {
                now,
                name: name.clone(),
                head: head.to_owned(),
                until,
            };
            self.done(name, &question).await
        })
        .await
    }

    async fn append(
        &self,
        now: Timestamp,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
        bounds: &Bounds,
    ) -> Result<MessageId, MailboxError> {
        bounds.size(message, key)?;
        let question = Request::Append {
            now,
            message: message.clone(),
            key: key.cloned(),
            stamp: u32::from_le_bytes(random::bytes()),
            bounds: *bounds,
        };
        let asked = boxed(self.ask_within(self.timeout_ms, name, &question, Failure::of_write));
        match asked.await? {
            Reply::Appended(id) => Ok(id),
            _ => Err(unexpected()),
        }
    }

    async fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        boxed(self.done(name, &Request::Attach { now, holder, until })).await
    }

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        boxed(self.applied(name, &Request::Detach { now, holder, until })).await
    }

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        boxed(self.applied(name, &Request::End { now, reason, until })).await
    }

    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        match boxed(self.ask(name, &Request::Read { now, after, limit })).await? {
            Reply::Batch(batch) => Ok(batch),
            _ => Err(unexpected()),
        }
    }

    async fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        let question = Request::Acknowledge {
            now,
            holder,
            through,
            replay,
        };
        boxed(self.done(name, &question)).await
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        let question = &Request::Keep { now, until };
        let kept = names
            .iter()
            .map(|name| async move { Ok((name, self.applied(name, question).await?)) });
        let kept: Vec<Result<_, MailboxError>> = boxed(join_all(kept)).await;
        let kept: Result<Vec<_>, _> = kept.into_iter().collect();
        let missing = kept?.into_iter().filter(|(_, is_kept)| !is_kept);
        Ok(missing.map(|(name, _)| name.clone()).collect())
    }

    async fn look(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Walked>, MailboxError> {
        let found = self.find(now, names).await?;
        Ok(found.into_iter().map(|found| found.walked).collect())
    }

    async fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Walked>, Option<String>), MailboxError> {
        let (found, next) = self.find_page(now, cursor, limit).await?;
        Ok((found.into_iter().map(|found| found.walked).collect(), next))
    }

    fn changed(&self) -> impl Stream<Item = Changed> + use<> {
        pending()
    }
}
