//! Nodes that live, but could not show it while the store was out of reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tessera::connections::{
    ConnectionError, Connections, Mailbox, MailboxError, MemoryMailbox, Name, Registration,
};
use tessera::store::{Cause, MemoryStore, StoreError};
use tessera::{Sessions, Timestamp};

use super::fixture::{BEAT, eventually};
use super::forward::forward;

/// A mailbox of a node that cannot show its life during an outage.
struct Outage {
    mailbox: MemoryMailbox,
    is_out: Arc<AtomicBool>,
    /// How often the node has shown its life.
    shown: Arc<AtomicUsize>,
}

impl Outage {
    fn check(&self, name: &Name) -> Result<(), MailboxError> {
        if !name.as_str().starts_with("node-") {
            return Ok(());
        }
        if self.is_out.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable(Cause::new("an outage of the test")).into());
        }
        self.shown.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Mailbox for Outage {
    forward!(append attach detach end read acknowledge look walk changed);

    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        self.check(name)?;
        self.mailbox.open(now, name, head, until).await
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        names.iter().try_for_each(|name| self.check(name))?;
        self.mailbox.keep(now, names, until).await
    }
}

#[tokio::test]
async fn an_outage_of_the_store_costs_no_client_of_another_node_its_connection() {
    let sessions = Sessions::builder().signing_key("k", [7; 32]);
    let sessions = sessions.build(MemoryStore::new()).expect("sessions");
    let mailbox = MemoryMailbox::new();
    let node = || {
        let (is_out, shown) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mailbox = Outage {
            mailbox: mailbox.clone(),
            is_out: Arc::clone(&is_out),
            shown: Arc::clone(&shown),
        };
        let builder = Connections::builder(&sessions).beat(BEAT).per_session(1);
        // A new connection has a quarter of a second for its client.
        let builder = builder.detached_for(Duration::from_secs(2));
        (builder.build(mailbox).expect("a node"), is_out, shown)
    };
    let ((one, one_is_out, _), (two, two_is_out, two_has_shown)) = (node(), node());
    let session = sessions.create();
    session.authenticate("alice").await.expect("a login");
    let client = one.open(&session, Registration::default()).await;
    let name = client.as_ref().expect("a connection").name().clone();
    let opens = async || two.open(&session, Registration::default()).await;
    // Long enough for both to be steady, and for the client not to be new.
    tokio::time::sleep(BEAT * 20).await;
    for is_out in [&one_is_out, &two_is_out] {
        is_out.store(true, Ordering::SeqCst);
    }
    eventually("neither node seems to live", async || {
        !two.get(&name).await.expect("a connection").is_attached
    })
    .await;
    // One of them is a little later than the other.
    let before = two_has_shown.load(Ordering::SeqCst);
    two_is_out.store(false, Ordering::SeqCst);
    eventually("the node shows its life", async || {
        two_has_shown.load(Ordering::SeqCst) > before
    })
    .await;
    let refused = opens().await;
    assert!(
        matches!(refused, Err(ConnectionError::TooManyOfSession)),
        "{refused:?}"
    );
    // A node that does not show its life for longer is dead.
    eventually("the connection makes room", async || opens().await.is_ok()).await;
}
