//! Mailboxes in Redis or Valkey.

mod answer;
mod reading;
mod scripts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use futures_util::future::join_all;
use redis::cmd;
use tessera_connections::{
    Batch, Bounds, Changed, EndReason, Holder, Limit, Mailbox, MailboxError, Message, MessageId, Name,
    SendKey, Walked,
};
use tessera_contract::Timestamp;
use tokio::time::Instant;

use self::answer::refusal;
use self::reading::{Prefixes, Read, Reading};
use self::scripts::{ACKNOWLEDGE, APPEND, CHANGE, OPEN, READ};
use super::RedisStore;
use super::link::Effect;
use super::scan::{Place, scan};
use super::scripts::Call;
use super::shared::Shared;
use crate::StoreError;
use crate::mail::stamp;
use crate::wakes::{Changes, Signal};

/// The time for which Redis keeps a mailbox that has expired, so that a host whose clock is behind still finds it.
const GRACE: Duration = Duration::from_secs(60);

/// Mailboxes in Redis (7.0 or later) or Valkey, over the connections of a [`RedisStore`].
///
/// `PREFIXmail:NAME` is a list: the state, then the messages. Each operation is one script on one key, and one round trip.
/// Redis removes a mailbox by itself a minute after its time has passed.
///
/// Each node reads over a connection of its own to each server, whose `CLIENT TRACKING` reports the next change of a mailbox that
/// was read, and of a session's record in the same store. If the user may not run `CLIENT|TRACKING`, the node reads its
/// mailboxes every second instead, and is not notified of changes of records.
///
/// After a failover, and after slots of a Cluster have moved, each mailbox is read again, and each record watched again.
/// While its slot is being moved, a mailbox is read every second.
/// A walk may omit a mailbox whose server is replaced during the walk, and in a Cluster one whose slot is moved.
#[derive(Clone)]
pub struct RedisMailbox {
    shared: Arc<Shared>,
    signal: Arc<Signal>,
    reading: Arc<Reading>,
    names: Arc<str>,
    /// The beginning of the keys of records.
    records: Arc<str>,
}

impl fmt::Debug for RedisMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisMailbox").finish_non_exhaustive()
    }
}

impl RedisMailbox {
    /// Creates a node over the servers of a store. Needs a tokio runtime for as long as it is used.
    ///
    /// A clone is the same node.
    pub fn new(store: &RedisStore) -> Self {
        let prefixes = Prefixes {
            mailboxes: format!("{}mail:", store.shared.prefix),
            records: format!("{}record:", store.shared.prefix),
        };
        let (names, records) = (
            prefixes.mailboxes.as_str().into(),
            prefixes.records.as_str().into(),
        );
        let signal = Arc::<Signal>::default();
        Self {
            shared: Arc::clone(&store.shared),
            reading: Reading::new(Arc::clone(&store.shared), Arc::clone(&signal), prefixes),
            signal,
            names,
            records,
        }
    }

    /// Checks that the user may run the commands of the mailboxes, as far as calls on a mailbox that does not exist show it.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the user lacks a right.
    pub async fn check(&self) -> Result<(), StoreError> {
        let mut command = cmd("LINDEX");
        command.arg(format!("{}-", self.names)).arg(0);
        let link = &self.shared.link;
        let asked = link
            .ask::<Option<String>>(&command, Effect::Repeatable, self.deadline())
            .await;
        match asked {
            Err(error @ StoreError::Other(_)) => Err(error),
            // An outage passes.
            _ => Ok(()),
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.timeout
    }

    fn key(&self, name: &Name) -> String {
        format!("{}{name}", self.names)
    }

    /// Runs a script of the link and returns its state.
    async fn state(&self, call: Call, effect: Effect) -> Result<String, MailboxError> {
        Ok(self.shared.link.run(&call, effect, self.deadline()).await?)
    }

    /// The arguments of `change.lua`.
    fn change(&self, now: Timestamp, name: &Name, change: &str, until: Timestamp) -> Call {
        Call::new(&CHANGE, self.key(name))
            .arg(now.as_millis())
            .arg(change)
            .arg(until.as_millis())
            .arg(life(now, until))
    }
}

/// The time to live of a key in milliseconds.
fn life(now: Timestamp, until: Timestamp) -> u64 {
    until.as_millis().saturating_sub(now.as_millis()) + tessera_contract::millis(GRACE)
}

/// `Ok(false)` for another holder or an earlier end, and for a missing mailbox.
fn applied(state: &str) -> Result<bool, MailboxError> {
    match state {
        "done" => Ok(true),
        "other" | "missing" => Ok(false),
        state => Err(refusal(state)),
    }
}

fn done(state: &str) -> Result<(), MailboxError> {
    match state {
        "done" => Ok(()),
        state => Err(refusal(state)),
    }
}

impl Mailbox for RedisMailbox {
    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        self.shared.eviction.check()?;
        let call = Call::new(&OPEN, self.key(name))
            .arg(now.as_millis())
            .arg(until.as_millis())
            .arg(life(now, until))
            .arg(head);
        done(&self.state(call, Effect::Repeatable).await?)
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
        let key = key.map(SendKey::as_str).unwrap_or_default();
        let call = Call::new(&APPEND, self.key(name))
            .arg(now.as_millis())
            .arg(format!("{:08x}", stamp()?))
            .arg(key)
            .arg(answer::written(key, message))
            .arg(bounds.maximum_messages)
            .arg(bounds.maximum_bytes)
            .arg(bounds.overflow.as_str())
            .arg(MessageId::MAXIMUM_NUMBER);
        let state = self.state(call, Effect::Once).await?;
        state.parse().map_err(|_| refusal(&state))
    }

    async fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        let call = self.change(now, name, "attach", until).arg(holder.to_string());
        // A repeat could displace a holder that has attached since.
        done(&self.state(call, Effect::Once).await?)
    }

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        let call = self.change(now, name, "detach", until).arg(holder.to_string());
        applied(&self.state(call, Effect::Repeatable).await?)
    }

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        let call = self.change(now, name, "end", until).arg(reason.as_str());
        applied(&self.state(call, Effect::Repeatable).await?)
    }

    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        let call = Call::new(&READ, self.key(name))
            .arg(now.as_millis())
            .arg(after.number)
            .arg(format!("{:08x}", after.stamp))
            .arg(limit.messages)
            .arg(limit.bytes);
        let read = Read::Mailbox(name.clone(), call);
        answer::batch(after, self.reading.run(&read, self.deadline()).await?.value)
    }

    async fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        let call = Call::new(&ACKNOWLEDGE, self.key(name))
            .arg(now.as_millis())
            .arg(through.number)
            .arg(format!("{:08x}", through.stamp))
            .arg(replay)
            .arg(holder.to_string());
        done(&self.state(call, Effect::Repeatable).await?)
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        let kept = names.iter().map(|name| async move {
            let call = self.change(now, name, "keep", until);
            applied(&self.state(call, Effect::Repeatable).await?)
        });
        let mut missing = Vec::new();
        for (kept, name) in join_all(kept).await.into_iter().zip(names) {
            if !kept? {
                missing.push(name.clone());
            }
        }
        Ok(missing)
    }

    async fn look(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Walked>, MailboxError> {
        let deadline = self.deadline();
        let states = names.iter().map(|name| async move {
            let mut command = cmd("LINDEX");
            command.arg(self.key(name)).arg(0);
            let state: Option<String> = self
                .shared
                .link
                .ask(&command, Effect::Repeatable, deadline)
                .await?;
            state.map_or(Ok(None), |state| answer::walked(now, name, &state))
        });
        let mut found = Vec::new();
        for walked in join_all(states).await {
            found.extend(walked?);
        }
        Ok(found)
    }

    async fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Walked>, Option<String>), MailboxError> {
        let place = Place::parse(cursor)?;
        let (keys, next) = scan(&self.shared, &place, "mail:", limit.max(1), self.deadline()).await?;
        let name = |key: &String| key.strip_prefix(&*self.names).and_then(|name| name.parse().ok());
        let names: Vec<Name> = keys.iter().filter_map(name).collect();
        Ok((self.look(now, &names).await?, next.map(|next| next.to_string())))
    }

    async fn watch_records(&self, keys: &[Arc<str>]) -> Result<bool, MailboxError> {
        let deadline = self.deadline();
        let watched = keys.iter().map(|key| async move {
            let read = Read::Record(Arc::clone(key), format!("{}{key}", self.records));
            self.reading.run(&read, deadline).await
        });
        let mut are_watched = true;
        for answer in join_all(watched).await {
            are_watched &= answer?.is_watched;
        }
        Ok(are_watched)
    }

    fn changed(&self) -> impl Stream<Item = Changed> + Send + use<> {
        Changes(Arc::clone(&self.signal))
    }
}
