//! Failovers of Redis, and slots of a Cluster that move: a reader is notified of the changes at the new server.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use tessera::Timestamp;
use tessera::connections::{Bounds, Changed, Limit, Mailbox as _, Message, MessageId, Name};
use tessera::store::{RedisMailbox, RedisStore};
use tessera_tests::servers::{RedisCluster, RedisSentinels};
use tokio::time::{sleep, timeout};

/// Longer than a failover and a round of the reading side.
const PATIENCE: Duration = Duration::from_secs(30);

type Changes = Pin<Box<dyn Stream<Item = Changed> + Send>>;

/// A sender, and a reader of one mailbox with its notifications.
struct Pair {
    sender: RedisMailbox,
    reader: RedisMailbox,
    changes: Changes,
    name: Name,
    after: MessageId,
}

async fn node(url: &str) -> RedisMailbox {
    let url = url.parse().expect("a URL");
    RedisMailbox::new(&RedisStore::builder().open(&url).await.expect("a store"))
}

impl Pair {
    async fn new(url: &str, name: &str) -> Self {
        let (sender, reader) = (node(url).await, node(url).await);
        let name: Name = name.parse().expect("a name");
        let now = Timestamp::now();
        let until = now.saturating_add(Duration::from_secs(600));
        sender.open(now, &name, "{}", until).await.expect("a mailbox");
        let changes = Box::pin(reader.changed());
        let mut pair = Self {
            sender,
            reader,
            changes,
            name,
            after: MessageId::START,
        };
        assert_eq!(pair.read().await.expect("a batch"), Vec::<String>::new());
        pair
    }

    /// Reads once.
    async fn read(&mut self) -> Result<Vec<String>, tessera::connections::MailboxError> {
        let read = self
            .reader
            .read(Timestamp::now(), &self.name, self.after, Limit::default());
        let batch = read.await?;
        self.after = batch.entries.last().map_or(batch.from, |entry| entry.id);
        Ok(batch
            .entries
            .iter()
            .map(|entry| entry.message.data().to_owned())
            .collect())
    }

    /// Appends until the store accepts it.
    async fn send(&self, data: &str) {
        let (message, key) = (
            Message::new(None, data).expect("a message"),
            data.parse().expect("a key"),
        );
        let (bounds, started) = (Bounds::default(), Instant::now());
        loop {
            let sent = self
                .sender
                .append(Timestamp::now(), &self.name, &message, Some(&key), &bounds);
            match sent.await {
                Ok(_) => return,
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error:?}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for this message as a host does: it reads after each notification, and again after a read that failed.
    async fn receives(&mut self, data: &str, patience: Duration) {
        let receiving = async {
            loop {
                match self.read().await {
                    Ok(read) if read.is_empty() => {}
                    Ok(read) => return assert_eq!(read, [data]),
                    Err(_) => {
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                }
                while let Some(changed) = self.changes.next().await
                    && changed != Changed::Missed
                    && changed != Changed::Mailbox(self.name.clone())
                {}
            }
        };
        assert!(timeout(patience, receiving).await.is_ok(), "no message {data}");
    }

    /// Waits for a notification of this mailbox, which no node receives from a server that does not track its reads.
    async fn is_notified_of(&mut self, data: &str) {
        let changed = Changed::Mailbox(self.name.clone());
        let notified = async { while self.changes.next().await != Some(changed.clone()) {} };
        assert!(
            timeout(PATIENCE, notified).await.is_ok(),
            "no notification of {data}"
        );
        self.receives(data, PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_in_a_cluster_is_notified_after_a_failover() {
    let mut cluster = RedisCluster::start(&[]);
    let url = cluster.url();
    // One mailbox at each master.
    let mut pairs = Vec::new();
    for server in 0..3 {
        let slot_of = |name: &str| {
            let key = format!("tessera:mail:{name}");
            let slot: i64 = cluster.servers[0]
                .ask(&["CLUSTER", "KEYSLOT", &key])
                .expect("a slot");
            slot * 3 / 16_384
        };
        let name = (0..)
            .map(|n| format!("box-{n}"))
            .find(|name| slot_of(name) == server);
        pairs.push(Pair::new(&url, &name.expect("a name")).await);
    }
    for pair in &mut pairs {
        pair.send("before").await;
        pair.is_notified_of("before").await;
    }
    cluster.fail_over(0);
    for pair in &mut pairs {
        pair.send("after").await;
        pair.receives("after", PATIENCE).await;
        pair.send("later").await;
        pair.receives("later", PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_behind_sentinels_is_notified_after_a_failover() {
    let mut sentinels = RedisSentinels::start(&[]);
    let mut pair = Pair::new(&sentinels.url(), "box").await;
    pair.send("before").await;
    pair.is_notified_of("before").await;
    sentinels.fail_over();
    pair.send("after").await;
    pair.receives("after", PATIENCE).await;
    pair.send("later").await;
    pair.receives("later", PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_in_a_cluster_follows_a_slot_that_moves() {
    let cluster = RedisCluster::start(&[]);
    let key = "tessera:mail:box-0";
    let slot: i64 = cluster.servers[0]
        .ask(&["CLUSTER", "KEYSLOT", key])
        .expect("a slot");
    let master = usize::try_from(slot * 3 / 16_384).expect("a master");
    let (from, to) = (&cluster.servers[master], &cluster.servers[(master + 1) % 3]);
    let slot = slot.to_string();
    let mut pair = Pair::new(&cluster.url(), "box-0").await;
    pair.send("one").await;
    pair.is_notified_of("one").await;
    let ids = [from, to].map(|server| server.ask::<String>(&["CLUSTER", "MYID"]).expect("an id"));
    let () = to
        .ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]])
        .expect("importing");
    let () = from
        .ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]])
        .expect("migrating");
    pair.send("two").await;
    pair.receives("two", PATIENCE).await;
    let port = to.port.to_string();
    let () = from
        .ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "1000"])
        .expect("moved");
    pair.send("three").await;
    pair.receives("three", PATIENCE).await;
    for server in [to, from] {
        let () = server
            .ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]])
            .expect("settled");
    }
    pair.send("four").await;
    pair.receives("four", PATIENCE).await;
    // The watch is at the new server now.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(pair.read().await.expect("a batch"), Vec::<String>::new());
    pair.send("five").await;
    pair.is_notified_of("five").await;
}
