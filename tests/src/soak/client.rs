//! A client: its connections one after the other, each of which it opens, leaves and continues, until it has ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::http::{Desk, PATIENCE};
use super::stream::{Over, Stream, Transport};
use super::world::{Post, World, add, count};
use crate::dice::Dice;
use crate::http_client::{Answer, bearer};
use crate::inbox::Inbox;

/// The range of the time of a visit, in milliseconds.
const VISIT: [u64; 2] = [2, 60];
/// The pause before another try.
const PAUSE: Duration = Duration::from_millis(50);
/// One of so many clients gives up while it opens a connection, after a time in this range, in milliseconds.
const GIVING_UP: usize = 8;
const IMPATIENCE: [u64; 2] = [1, 30];
/// The sockets that a client leaves open, and never reads.
const SILENT: usize = 4;

/// A client.
pub(super) struct Client {
    pub(super) world: Arc<World>,
    pub(super) dice: Dice,
    pub(super) desk: Desk,
    pub(super) subject: String,
    /// The token of the session, if there is one.
    pub(super) token: Option<String>,
    silent: VecDeque<Stream>,
}

/// A connection of a client.
pub(super) struct Life {
    pub(super) inbox: Inbox,
    pub(super) opened: Instant,
    pub(super) post: Option<Arc<Post>>,
    stream: Option<Stream>,
    /// When the client was attached last.
    attached: Instant,
}

/// Why a client receives nothing more from a connection.
#[derive(Debug)]
pub(super) enum Gone {
    /// The connection has ended.
    Ended,
    /// The session has ended.
    LoggedOut,
    /// The client came back too late, or may open no connection now.
    Refused,
    /// Anything else is wrong.
    Wrong(String),
}

/// The subject of a client.
pub(super) fn subject(number: usize) -> String {
    format!("client-{number}")
}

impl Client {
    pub(super) fn new(world: Arc<World>, number: usize, dice: Dice) -> Self {
        Self {
            desk: Desk::new(&world.addresses),
            world,
            dice,
            subject: subject(number),
            token: None,
            silent: VecDeque::new(),
        }
    }

    /// Lives until the round is over.
    pub(super) async fn live(mut self) {
        while !self.world.is_over() {
            match self.life().await {
                Ok(()) => {}
                // Perhaps the session has too many connections.
                Err(Gone::Refused) => self.token = None,
                Err(gone) => {
                    let wrong = match gone {
                        Gone::Wrong(wrong) => wrong,
                        gone => format!("an end without a reason: {gone:?}"),
                    };
                    self.world.tally.wrong(format!("{}: {wrong}", self.subject));
                    self.token = None;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Opens a connection, visits it several times, and ends it in some way.
    async fn life(&mut self) -> Result<(), Gone> {
        if self.token.is_none() {
            self.token = Some(self.log_in().await?);
        }
        let mut life = self.open().await?;
        let ended = self.live_on(&mut life).await;
        if let Some(post) = &life.post {
            self.world.close(post).await;
        }
        add(&self.world.tally.received, life.inbox.received);
        add(&self.world.tally.gaps, life.inbox.gaps);
        ended
    }

    async fn live_on(&mut self, life: &mut Life) -> Result<(), Gone> {
        for _ in 0..1 + self.dice.below(3) {
            match self.visit(life).await {
                Err(Gone::Ended) => return self.check_expired(life, Err(Gone::Ended)),
                visited => visited?,
            }
            self.leave(life).await;
        }
        self.end(life).await
    }

    /// Receives for a short while.
    pub(super) async fn visit(&mut self, life: &mut Life) -> Result<(), Gone> {
        let [least, most] = VISIT;
        let until = Instant::now() + self.dice.pause(least, most);
        self.receive(life, until, |_| false).await.map(drop)
    }

    /// Makes a call at some node until it is answered.
    pub(super) async fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&str>,
    ) -> Result<Answer, Gone> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let at = self.dice.below(2);
            match self.desk.send(at, method, path, headers, body).await {
                Ok(answer) if answer.status != 503 => return Ok(answer),
                // The node restarts, or the store is slow.
                _ => sleep(PAUSE).await,
            }
        }
        Err(Gone::Wrong(format!("{method} {path} is not answered")))
    }

    async fn log_in(&mut self) -> Result<String, Gone> {
        let body = json!({ "subject": self.subject }).to_string();
        let headers = [("Authorization", bearer(&self.world.key))];
        let answer = self.call("POST", "/v1/sessions", &headers, Some(&body)).await?;
        if answer.status != 201 {
            return Err(Gone::Wrong(format!("a login: {answer:?}")));
        }
        count(&self.world.tally.sessions);
        Ok(answer.token())
    }

    async fn open(&mut self) -> Result<Life, Gone> {
        let now = Instant::now();
        let mut life = Life {
            inbox: Inbox::default(),
            opened: now,
            post: None,
            stream: None,
            attached: now,
        };
        let is_named = |inbox: &Inbox| !inbox.name.is_empty();
        if !self.receive(&mut life, now + PATIENCE, is_named).await? {
            return Err(Gone::Wrong("no connection opens".into()));
        }
        count(&self.world.tally.connections);
        life.post = Some(self.world.post(&life.inbox.name, &self.subject));
        Ok(life)
    }

    /// Comes back to a connection at the node that does not restart, because the node that a client has left removes its
    /// connection. A poll may be given up before it arrives there.
    pub(super) async fn stay(&mut self, life: &mut Life) -> Result<(), Gone> {
        while life.stream.is_none() {
            let transport = [Transport::Events, Transport::Socket][self.dice.below(2)];
            self.come_back(life, 0, transport).await?;
        }
        Ok(())
    }

    /// Comes back to a connection at a node.
    async fn come_back(&mut self, life: &mut Life, at: usize, transport: Transport) -> Result<(), Gone> {
        let (token, wait) = (self.token.clone().unwrap_or_default(), self.world.times.poll);
        let (address, is_new) = (self.desk.address(at), life.inbox.name.is_empty());
        let opening = Stream::open(transport, address, &token, &life.inbox.cursor, wait);
        // At the node that does not restart: the node that a client has left removes its connection.
        let opened = if is_new && at == 0 && self.dice.below(GIVING_UP) == 0 {
            let [least, most] = IMPATIENCE;
            timeout(self.dice.pause(least, most), opening).await
        } else {
            Ok(opening.await)
        };
        let Ok(opened) = opened else {
            count(&self.world.tally.given_up);
            return Ok(());
        };
        match opened {
            Ok(stream) => {
                count(&self.world.tally.visits);
                life.stream = Some(stream);
                Ok(())
            }
            Err(over) => self.lose(life, over).await,
        }
    }

    /// The stream is over. Fails if the client has no reason to come back.
    async fn lose(&mut self, life: &mut Life, over: Over) -> Result<(), Gone> {
        life.stream = None;
        match over {
            Over::Ended => Err(Gone::Ended),
            Over::LoggedOut => Err(Gone::LoggedOut),
            Over::Missing => Err(self.missing(life, "the connection is missing".into())),
            Over::TooMany if life.inbox.name.is_empty() => Err(Gone::Refused),
            Over::Wrong(wrong) => Err(Gone::Wrong(wrong)),
            Over::TooMany | Over::Lost | Over::Down if life.attached.elapsed() > PATIENCE => {
                Err(Gone::Wrong("the client cannot come back".into()))
            }
            Over::TooMany | Over::Lost | Over::Down => {
                if over == Over::Lost && life.inbox.name.is_empty() {
                    count(&self.world.tally.lost);
                }
                sleep(PAUSE).await;
                Ok(())
            }
        }
    }

    /// A connection lives on without its client for a while only.
    fn missing(&self, life: &Life, wrong: String) -> Gone {
        let times = &self.world.times;
        let is_late = life.attached.elapsed() + times.beat >= times.detached_for;
        if is_late || life.opened.elapsed() + times.beat >= times.lifetime {
            count(&self.world.tally.late);
            return Gone::Refused;
        }
        Gone::Wrong(wrong)
    }

    /// Receives until it is enough, over as many streams as that takes; returns whether it is.
    pub(super) async fn receive(
        &mut self,
        life: &mut Life,
        until: Instant,
        is_enough: impl Fn(&Inbox) -> bool,
    ) -> Result<bool, Gone> {
        loop {
            if is_enough(&life.inbox) {
                return Ok(true);
            }
            if life.inbox.end.is_some() {
                return Err(Gone::Ended);
            }
            let Some(stream) = &mut life.stream else {
                if Instant::now() > until {
                    return Ok(false);
                }
                let (at, transport) = (self.dice.below(2), Transport::ALL[self.dice.below(3)]);
                self.come_back(life, at, transport).await?;
                continue;
            };
            let next = timeout_at(until, stream.next()).await;
            match next {
                Err(_) => {
                    life.attached = Instant::now();
                    return Ok(is_enough(&life.inbox));
                }
                Ok(Ok(event)) => {
                    let name = life.inbox.name.clone();
                    if let Err(wrong) = life.inbox.take(event) {
                        return Err(if wrong.contains("gone") {
                            self.missing(life, format!("{name}: {wrong}"))
                        } else {
                            Gone::Wrong(format!("{name}: {wrong}"))
                        });
                    }
                    life.attached = Instant::now();
                }
                Ok(Err(over)) => self.lose(life, over).await?,
            }
        }
    }

    /// Leaves a connection in some way.
    pub(super) async fn leave(&mut self, life: &mut Life) {
        let Some(stream) = life.stream.take() else {
            return;
        };
        let tally = &self.world.tally;
        match self.dice.below(3) {
            0 => {
                count(&tally.closed);
                stream.close().await;
            }
            1 => {
                count(&tally.reset);
                stream.reset();
            }
            _ => {
                count(&tally.silent);
                if self.silent.len() == SILENT {
                    self.silent.pop_front();
                }
                self.silent.push_back(stream);
            }
        }
        life.attached = Instant::now();
    }
}
