//! Cut connections to Redis: a node reads each of its mailboxes once more.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tessera::Timestamp;
use tessera::connections::{Bounds, Changed, Limit, Mailbox as _, Message, MessageId, Name};
use tessera::store::{RedisMailbox, RedisStore};
use tessera_tests::servers::{Proxy, RedisServer};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than two rounds of the reading side, which find out that the other connection has been replaced.
const ROUNDS: Duration = Duration::from_millis(2500);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cut_of_all_connections_is_reported_once() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::to(server.port);
    let url = format!("redis://127.0.0.1:{}", proxy.port);
    let store = RedisStore::open(&url.parse().expect("a URL")).await;
    let node = RedisMailbox::new(&store.expect("a store"));
    let (name, now): (Name, _) = ("box".parse().expect("a name"), Timestamp::now());
    let until = now.saturating_add(Duration::from_secs(600));
    node.open(now, &name, "{}", until).await.expect("a mailbox");
    let read = async || {
        let batch = node.read(now, &name, MessageId::START, Limit::default()).await;
        batch.expect("a batch").entries.len()
    };
    assert_eq!(read().await, 0);
    let mut changes = pin!(node.changed());
    assert_eq!(
        changes.next().await,
        Some(Changed::Missed),
        "the first connection"
    );
    for cut in 1..=3 {
        proxy.cut();
        let reported = timeout(PATIENCE, changes.next()).await;
        assert_eq!(reported.expect("a notification"), Some(Changed::Missed));
        assert_eq!(read().await, cut - 1);
        // A call over the other connection, which finds that it is broken.
        let found = node.look(now, std::slice::from_ref(&name)).await;
        assert_eq!(found.expect("an answer").len(), 1);
        let message = Message::new(None, &cut.to_string()).expect("a message");
        let sent = node.append(now, &name, &message, None, &Bounds::default()).await;
        sent.expect("an id");
        assert_eq!(changes.next().await, Some(Changed::Mailbox(name.clone())));
        assert_eq!(read().await, cut);
        let again = timeout(ROUNDS, changes.next()).await;
        assert!(again.is_err(), "{again:?}");
    }
    // Two connections at the start, and two after each cut.
    assert_eq!(proxy.accepted(), 8);
}
