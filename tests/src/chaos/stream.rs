//! One client of a stream, and the sender of its messages, under faults.
//!
//! The sender numbers its messages, and repeats a call under the same key until it is acknowledged.
//! The client cuts its stream at random, and continues it at another instance after its last event.
//! Every message must arrive once and in order, unless the stream reports a gap.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::ledger::Deed;
use super::world::World;
use crate::dice::Dice;
use crate::http_client::{Client, bearer, connect, read_answer, request};
use crate::inbox::{Delivered, Inbox};

/// The range of the pause between two messages, in milliseconds.
const THINKING: [u64; 2] = [2, 30];
/// The range of the life of a stream until the client cuts it, in milliseconds.
const LIFE: [u64; 2] = [200, 4000];
/// The pause before another try.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait at the end for the messages that are left.
const PATIENCE: Duration = Duration::from_secs(60);
/// The time after which a stream without an event or a sign of life counts as broken.
const SILENCE: Duration = Duration::from_millis(500);

/// A client of one connection.
pub(super) struct StreamClient<'a> {
    world: &'a World,
    number: usize,
    dice: Dice,
    token: String,
    inbox: Inbox,
    /// The number of messages that were acknowledged to the sender.
    acknowledged: Arc<AtomicU64>,
    /// Whether the connection had ended when the client came back.
    is_over: bool,
}

/// The sender of a connection's messages.
pub(super) struct Sender<'a> {
    world: &'a World,
    number: usize,
    path: String,
    acknowledged: Arc<AtomicU64>,
}

/// An open stream.
struct Stream {
    connection: BufReader<TcpStream>,
    left: VecDeque<String>,
}

impl Stream {
    /// Reads the text of the next event; `None` if the stream is broken, silent or over.
    fn next(&mut self) -> Option<String> {
        if let Some(text) = self.left.pop_front() {
            return Some(text);
        }
        let mut line = String::new();
        if self.connection.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        self.connection.read_exact(&mut chunk).ok()?;
        chunk.truncate(length);
        if length == 0 {
            return None;
        }
        let text = String::from_utf8(chunk).ok()?;
        self.left = text.split_terminator("\n\n").map(str::to_owned).collect();
        self.next()
    }
}

impl<'a> StreamClient<'a> {
    /// Opens a connection of a session of its own, before the faults begin.
    pub(super) fn new(world: &'a World, number: usize, seed: u64) -> Self {
        let mut client = Client::new(&world.instances[0].address);
        let token = client.create(&world.key, Some(&format!("stream{number}")));
        let mut new = Self {
            world,
            number,
            dice: Dice::new(seed, 1000 + number as u64),
            token,
            inbox: Inbox::default(),
            acknowledged: Arc::default(),
            is_over: false,
        };
        let begun = Instant::now();
        while new.inbox.name.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "no stream opens");
            if let Some(mut stream) = new.open(0) {
                while let Some(text) = stream.next() {
                    new.take(&text);
                    if !new.inbox.name.is_empty() {
                        break;
                    }
                }
            }
        }
        new
    }

    fn wrong(&self, what: &str) {
        self.world.tally.wrong(format!("stream {}: {what}", self.number));
    }

    /// Opens the stream after the last event; `None` if that fails for now.
    fn open(&mut self, at: usize) -> Option<Stream> {
        let mut connection = connect(&self.world.instances[at].address).ok()?;
        let bearer = bearer(&self.token);
        let mut headers = vec![
            ("Authorization", bearer.as_str()),
            ("Accept", "text/event-stream"),
        ];
        if !self.inbox.cursor.is_empty() {
            headers.push(("Last-Event-ID", self.inbox.cursor.as_str()));
        }
        let asked = request("GET", "/v1/connections", &headers, None);
        connection.get_mut().write_all(&asked).ok()?;
        let answer = read_answer(&mut connection).ok()?;
        match answer.status {
            200 => {
                connection.get_mut().set_read_timeout(Some(SILENCE)).ok()?;
                let left = VecDeque::new();
                Some(Stream { connection, left })
            }
            204 => {
                self.is_over = true;
                None
            }
            503 => None,
            status => {
                self.wrong(&format!("{status} {}", answer.text));
                None
            }
        }
    }

    /// Takes the text of one event.
    fn take(&mut self, text: &str) {
        if let Some(event) = Delivered::of_text(text)
            && let Err(wrong) = self.inbox.take(event)
        {
            self.wrong(&wrong);
        }
    }

    fn is_ended(&self) -> bool {
        self.is_over || self.inbox.end.is_some()
    }

    /// Receives until the run is over or wrong, over streams that are cut at random.
    pub(super) fn receive(&mut self) {
        while !self.world.is_over.load(Ordering::Relaxed) && !self.world.tally.is_wrong() {
            let at = self.dice.below(self.world.instances.len());
            let [least, most] = LIFE;
            let life = self.dice.pause(least, most);
            self.receive_for(at, life);
        }
    }

    fn receive_for(&mut self, at: usize, life: Duration) {
        let begun = Instant::now();
        let Some(mut stream) = self.open(at) else {
            return std::thread::sleep(PAUSE);
        };
        while begun.elapsed() < life
            && let Some(text) = stream.next()
        {
            self.take(&text);
        }
    }
}

impl Sender<'_> {
    /// Sends numbered messages until the run is over or wrong.
    pub(super) fn send(&self, seed: u64) {
        let path = &self.path;
        let mut dice = Dice::new(seed, 2000 + self.number as u64);
        while !self.world.is_over.load(Ordering::Relaxed) && !self.world.tally.is_wrong() {
            let number = self.acknowledged.load(Ordering::Relaxed) + 1;
            let body = json!({"data": number.to_string(), "key": number.to_string()}).to_string();
            while !self.is_acknowledged(path, &body, &mut dice) {
                if self.world.tally.is_wrong() {
                    return;
                }
                std::thread::sleep(PAUSE);
            }
            self.acknowledged.store(number, Ordering::Relaxed);
            self.world.tally.acknowledge(Deed::Message);
            let [least, most] = THINKING;
            std::thread::sleep(dice.pause(least, most));
        }
    }

    /// Sends a message once to a random instance.
    fn is_acknowledged(&self, path: &str, body: &str, dice: &mut Dice) -> bool {
        let at = dice.below(self.world.instances.len());
        let mut client = Client::new(&self.world.instances[at].address);
        let credentials = bearer(&self.world.key);
        let bytes = request("POST", path, &[("Authorization", &credentials)], Some(body));
        match client.try_send(&bytes) {
            Ok(answer) if answer.status == 202 => true,
            // The mailbox is full while the client is away; or the store is out of reach.
            Ok(answer) if matches!(answer.status, 429 | 503) => false,
            Ok(answer) => {
                let (number, status, text) = (self.number, answer.status, &answer.text);
                self.world
                    .tally
                    .wrong(format!("stream {number}: a message: {status} {text}"));
                false
            }
            // The instance is down, or has died meanwhile.
            Err(_) => false,
        }
    }
}

impl<'a> StreamClient<'a> {
    /// The sender of this client's messages.
    pub(super) fn sender(&self) -> Sender<'a> {
        Sender {
            world: self.world,
            number: self.number,
            path: format!("/v1/connections/{}/messages", self.inbox.name),
            acknowledged: Arc::clone(&self.acknowledged),
        }
    }

    /// Receives what is left, ends the connection, and counts what has arrived.
    pub(super) fn audit(&mut self) {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let begun = Instant::now();
        while self.inbox.received < acknowledged && begun.elapsed() < PATIENCE && !self.world.tally.is_wrong()
        {
            self.receive_for(0, Duration::from_secs(2));
        }
        if self.inbox.received < acknowledged {
            self.wrong(&format!(
                "{} of {acknowledged} messages have arrived",
                self.inbox.received
            ));
        }
        let mut found = super::ledger::Counts::default();
        found[Deed::Message as usize] = self.inbox.received.min(acknowledged);
        self.world.tally.find(&found);
        let mut client = Client::new(&self.world.instances[0].address);
        let path = format!("/v1/connections/{}", self.inbox.name);
        let ended = client.call("DELETE", &path, &self.world.key, None);
        if ended.status != 204 {
            return self.wrong(&format!("the end: {} {}", ended.status, ended.text));
        }
        let begun = Instant::now();
        while !self.is_ended() && begun.elapsed() < PATIENCE {
            self.receive_for(0, Duration::from_secs(1));
        }
        if !self.is_ended() {
            self.wrong("the end does not arrive");
        }
    }
}
