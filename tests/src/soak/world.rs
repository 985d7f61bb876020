//! The state that all clients and senders of a round share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Mutex as AsyncMutex;

use super::plan::{Plan, Times};
use crate::lock;

/// The maximum number of recorded errors.
const MOST_WRONGS: usize = 20;

/// What a sender knows of a connection.
pub(super) struct Post {
    pub(super) name: String,
    pub(super) subject: String,
    /// The number of acknowledged messages. Locked by the sender of the next one.
    pub(super) acknowledged: AsyncMutex<u64>,
    /// No sender sends any more.
    pub(super) is_closed: AtomicBool,
}

/// Counts of events.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sessions: AtomicU64,
    pub(super) connections: AtomicU64,
    /// Streams and WebSockets that were opened, and polls that were begun.
    pub(super) visits: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) reset: AtomicU64,
    pub(super) silent: AtomicU64,
    pub(super) abandoned: AtomicU64,
    /// Messages to one connection that were acknowledged.
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    /// Messages to all connections of a subject.
    pub(super) notices: AtomicU64,
    pub(super) gaps: AtomicU64,
    /// The ends of connections: by a service, by a logout, a revocation or another login, and at the end of their life.
    pub(super) ended: AtomicU64,
    pub(super) logged_out: AtomicU64,
    pub(super) expired: AtomicU64,
    /// Clients that gave up while they opened a connection, and those to which the node did not answer, because it restarted.
    pub(super) given_up: AtomicU64,
    pub(super) lost: AtomicU64,
    /// Connections whose client came back too late.
    pub(super) late: AtomicU64,
    pub(super) restarts: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub(super) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

impl Tally {
    pub(super) fn wrong(&self, what: String) {
        let mut wrong = lock(&self.wrong);
        if wrong.len() < MOST_WRONGS {
            wrong.push(what);
        }
    }

    pub(super) fn wrongs(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// The counts in one line.
    pub(super) fn line(&self) -> String {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} sessions, {} connections, {} visits, {} given up, {} without an answer; left: {} closed, {} reset, {} silent, {} for good; \
             {} messages acknowledged, {} received, {} notices, {} gaps; \
             ended: {} by a service, {} with their session, {} by their life; {} came back too late; {} restarts of a node",
            number(&self.sessions),
            number(&self.connections),
            number(&self.visits),
            number(&self.given_up),
            number(&self.lost),
            number(&self.closed),
            number(&self.reset),
            number(&self.silent),
            number(&self.abandoned),
            number(&self.sent),
            number(&self.received),
            number(&self.notices),
            number(&self.gaps),
            number(&self.ended),
            number(&self.logged_out),
            number(&self.expired),
            number(&self.late),
            number(&self.restarts),
        )
    }
}

/// The state of a run.
pub(super) struct World {
    pub(super) addresses: [String; 2],
    /// The service key.
    pub(super) key: String,
    pub(super) times: Times,
    /// Of 200 connections, so many end with their session, and so many are left for good.
    pub(super) ends: [usize; 2],
    pub(super) tally: Tally,
    /// The connections to which is sent.
    posts: Mutex<Vec<Arc<Post>>>,
    /// The clients leave.
    pub(super) is_over: AtomicBool,
}

impl World {
    pub(super) fn new(addresses: [String; 2], key: String, plan: &Plan) -> Self {
        Self {
            addresses,
            key,
            times: plan.times(),
            ends: plan.ends,
            tally: Tally::default(),
            posts: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Adds a connection to which is sent from now on.
    pub(super) fn post(&self, name: &str, subject: &str) -> Arc<Post> {
        let post = Arc::new(Post {
            name: name.to_owned(),
            subject: subject.to_owned(),
            acknowledged: AsyncMutex::new(0),
            is_closed: AtomicBool::new(false),
        });
        lock(&self.posts).push(Arc::clone(&post));
        post
    }

    /// Ends the sends to a connection, waits for the one in progress, and returns the number of acknowledged messages.
    pub(super) async fn close(&self, post: &Arc<Post>) -> u64 {
        post.is_closed.store(true, Ordering::SeqCst);
        lock(&self.posts).retain(|other| !Arc::ptr_eq(other, post));
        *post.acknowledged.lock().await
    }

    /// One of the connections, given a choice among this number.
    pub(super) fn some_post(&self, choose: impl FnOnce(usize) -> usize) -> Option<Arc<Post>> {
        let posts = lock(&self.posts);
        if posts.is_empty() {
            return None;
        }
        posts.get(choose(posts.len())).map(Arc::clone)
    }
}
