//! A Worker's mailboxes as a [`Mailbox`] for the tests.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::Stream;
use futures_util::stream::pending;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tessera::Timestamp;
use tessera::connections::{
    Batch, Bounds, Changed, EndReason, Head, Holder, Limit, Mailbox, MailboxError, Message, MessageId, Name,
    SendKey, Walked,
};
use tessera::store::{Cause, StoreError};

use super::Worker;

/// The mailboxes of one space in a Worker. They report no changes.
#[derive(Clone)]
pub struct RemoteMailbox {
    worker: Worker,
    path: String,
}

fn failed(error: impl ToString) -> MailboxError {
    StoreError::Unavailable(Cause::new(error.to_string())).into()
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, MailboxError> {
    serde_json::from_value(value).map_err(failed)
}

impl RemoteMailbox {
    /// Returns new, empty mailboxes, separate from all others.
    #[must_use]
    pub fn new(worker: &Worker) -> Self {
        static SPACES: AtomicU64 = AtomicU64::new(0);
        let space = SPACES.fetch_add(1, Ordering::Relaxed);
        Self {
            worker: worker.clone(),
            path: format!("/test/mailbox/m{space}."),
        }
    }

    /// Sends a call from a thread that may block.
    async fn call(&self, body: Value) -> Result<Value, MailboxError> {
        let (worker, path) = (self.worker.clone(), self.path.clone());
        let asked = tokio::task::spawn_blocking(move || worker.ask("POST", &path, Some(&body)));
        let mut reply = asked.await.map_err(failed)?.map_err(failed)?;
        match reply.get_mut("Refused") {
            Some(error) => Err(read(error.take())?),
            None => Ok(reply),
        }
    }

    /// Sends a question to one mailbox, and returns the part of the answer with this name.
    async fn ask<T: DeserializeOwned>(
        &self,
        name: &Name,
        question: Value,
        part: &str,
    ) -> Result<T, MailboxError> {
        let mut reply = self.call(json!({ "of": [name, question] })).await?;
        read(reply[part].take())
    }

    /// Joins a connection with this head as its client, without a socket or a poll.
    ///
    /// # Errors
    /// Those of the mailbox.
    pub async fn join(&self, name: &Name, head: &Head, holder: Holder) -> Result<(), MailboxError> {
        let login = json!({
            "session": head.session,
            "subject": head.subject,
            "authenticated_at": head.authenticated_at,
        });
        let question = json!({"Join": {"login": login, "holder": holder, "after": MessageId::START}});
        self.done(name, question).await
    }

    async fn done(&self, name: &Name, question: Value) -> Result<(), MailboxError> {
        match self.call(json!({ "of": [name, question] })).await? {
            Value::String(done) if done == "Done" => Ok(()),
            other => Err(failed(other)),
        }
    }
}

impl Mailbox for RemoteMailbox {
    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        let question = json!({"Open": {"now": now, "name": name, "head": head, "until": until}});
        self.done(name, question).await
    }

    async fn append(
        &self,
        now: Timestamp,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
        bounds: &Bounds,
    ) -> Result<MessageId, MailboxError> {
        // The Worker draws the stamp.
        let question =
            json!({"Append": {"now": now, "message": message, "key": key, "stamp": 0, "bounds": bounds}});
        self.ask(name, question, "Appended").await
    }

    async fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        self.done(
            name,
            json!({"Attach": {"now": now, "holder": holder, "until": until}}),
        )
        .await
    }

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        let question = json!({"Detach": {"now": now, "holder": holder, "until": until}});
        self.ask(name, question, "Applied").await
    }

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        let question = json!({"End": {"now": now, "reason": reason, "until": until}});
        self.ask(name, question, "Applied").await
    }

    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        let question = json!({"Read": {"now": now, "after": after, "limit": limit}});
        self.ask(name, question, "Batch").await
    }

    async fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        let question =
            json!({"Acknowledge": {"now": now, "holder": holder, "through": through, "replay": replay}});
        self.done(name, question).await
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        let mut missing = Vec::new();
        for name in names {
            let question = json!({"Keep": {"now": now, "until": until}});
            if !self.ask::<bool>(name, question, "Applied").await? {
                missing.push(name.clone());
            }
        }
        Ok(missing)
    }

    async fn look(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Walked>, MailboxError> {
        let mut all = Vec::new();
        for name in names {
            let question = json!({"Look": {"now": now}});
            let mut found: Value = self.ask(name, question, "Found").await?;
            if !found.is_null() {
                all.push(read(found["walked"].take())?);
            }
        }
        Ok(all)
    }

    async fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Walked>, Option<String>), MailboxError> {
        let body = json!({"walk": {"now": now, "cursor": cursor, "limit": limit}});
        let mut page = self.call(body).await?;
        Ok((read(page["mailboxes"].take())?, read(page["next"].take())?))
    }

    fn changed(&self) -> impl Stream<Item = Changed> + use<> {
        pending()
    }
}
