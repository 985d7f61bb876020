//! A sender, two nodes and a client over one mailbox, and their steps.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;

use tessera_connections::{
    Bounds, Delivery, EndReason, Holder, Limit, Log, MailboxError, Message, MessageId, Overflow, Reader,
    SendKey,
};

/// The messages of a run.
const MESSAGES: usize = 3;
const ALL: Limit = Limit {
    messages: u32::MAX,
    bytes: u32::MAX,
};

/// A deliberate fault, which the judge has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutation {
    None,
    /// A cursor counts by its number alone.
    NumberAlone,
    /// A gap is not reported.
    SilentGap,
    /// Messages are acknowledged before the socket has accepted them.
    EarlyAcknowledgement,
    /// A node that was taken over acknowledges in the name of the holder.
    ForeignAcknowledgement,
    /// A node that was taken over goes on.
    NoTakeOver,
    /// An end hides the messages before it.
    HastyEnd,
    /// A sender's retry is a second message.
    BlindRetry,
}

#[derive(Clone)]
struct Node {
    reader: Reading,
    /// What the node has read and the socket has not accepted.
    socket: VecDeque<Delivery>,
}

/// A reader that can be copied, by the calls that have made it.
#[derive(Clone)]
struct Reading {
    holder: Holder,
    after: MessageId,
    sent: MessageId,
    is_over: bool,
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) log: Log,
    /// The mailbox as a replica has it.
    replica: Log,
    nodes: [Option<Node>; 2],
    /// The node that the client is connected to.
    socket: Option<usize>,
    cursor: MessageId,
    attachments: u64,
    /// The messages that were appended, acknowledged or not: data, id, and whether the sender knows.
    pub(super) appended: Vec<(usize, MessageId, bool)>,
    sent: usize,
    pub(super) received: Vec<Received>,
    stamps: u32,
    pub(super) failovers: u32,
    /// Whether the holder's socket has accepted messages of which its client is gone.
    pub(super) has_swallowed: bool,
    /// A rule that a node has broken.
    pub(super) broken: Option<&'static str>,
    pub(super) trace: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Message(MessageId, usize),
    Gap(MessageId),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The sender appends the next message.
    Send,
    /// The sender appends it, and its answer is lost; then it sends it again with the same key.
    SendTwice,
    /// The client connects to a node, after its cursor.
    Attach(usize),
    /// A node reads.
    Read(usize),
    /// The client receives one event.
    Receive,
    /// The socket breaks with what it has in flight.
    Cut,
    /// A socket whose client is gone accepts a message nevertheless.
    Swallow(usize),
    /// A node acknowledges what its socket has accepted.
    Acknowledge(usize),
    Replicate,
    Failover,
    End,
}

pub(super) const STEPS: [Step; 15] = [
    Step::Send,
    Step::SendTwice,
    Step::Attach(0),
    Step::Attach(1),
    Step::Read(0),
    Step::Read(1),
    Step::Receive,
    Step::Cut,
    Step::Swallow(0),
    Step::Swallow(1),
    Step::Acknowledge(0),
    Step::Acknowledge(1),
    Step::Replicate,
    Step::Failover,
    Step::End,
];

fn bounds(overflow: Overflow) -> Bounds {
    Bounds {
        maximum_messages: 2,
        replay_messages: 1,
        overflow,
        ..Bounds::default()
    }
}

impl World {
    pub(super) fn new() -> Self {
        let log = Log::new("{}".into());
        Self {
            replica: log.clone(),
            log,
            nodes: [None, None],
            socket: None,
            cursor: MessageId::START,
            attachments: 0,
            appended: Vec::new(),
            sent: 0,
            received: Vec::new(),
            stamps: 0,
            failovers: 0,
            has_swallowed: false,
            broken: None,
            trace: Vec::new(),
        }
    }

    /// All that determines the rest of the run.
    pub(super) fn state(&self) -> String {
        let mut state = String::new();
        let nodes = self.nodes.iter().map(|node| {
            node.as_ref().map(|node| {
                (
                    node.reader.holder,
                    node.reader.after,
                    node.reader.sent,
                    node.reader.is_over,
                    &node.socket,
                )
            })
        });
        let nodes: Vec<_> = nodes.collect();
        let written = write!(
            state,
            "{:?}{:?}{nodes:?}{:?}{:?}{:?}{}{:?}{}{}{}{:?}",
            self.log,
            self.replica,
            self.socket,
            self.cursor,
            self.appended,
            self.sent,
            self.received,
            self.stamps,
            self.failovers,
            self.has_swallowed,
            self.broken
        );
        written.expect("a text");
        state
    }

    fn append(&mut self, data: usize, key: &SendKey, overflow: Overflow) -> Result<MessageId, MailboxError> {
        self.stamps += 1;
        let message = Message::new(None, &data.to_string()).expect("a message");
        self.log
            .append(message, Some(key.clone()), self.stamps, &bounds(overflow))
    }

    fn send(&mut self, tries: usize, overflow: Overflow, mutation: Mutation) -> bool {
        if self.sent >= MESSAGES {
            return false;
        }
        let data = self.sent;
        self.sent += 1;
        let mut last = None;
        for number in 0..tries {
            let key = match mutation {
                Mutation::BlindRetry => format!("{data}-{number}"),
                _ => format!("{data}"),
            };
            let appended = self.append(data, &key.parse().expect("a key"), overflow);
            last = appended.ok();
        }
        if let Some(id) = last {
            self.appended.push((data, id, true));
        }
        true
    }

    /// Takes a step; `false`: it is not possible or changes nothing.
    pub(super) fn step(&mut self, step: Step, overflow: Overflow, mutation: Mutation) -> bool {
        self.trace.push(step);
        match step {
            Step::Send => self.send(1, overflow, mutation),
            Step::SendTwice => self.send(2, overflow, mutation),
            Step::Attach(at) => self.attach(at),
            Step::Read(at) => self.read(at, mutation),
            Step::Receive => self.receive(),
            Step::Cut => {
                let Some(at) = self.socket.take() else {
                    return false;
                };
                self.nodes[at] = None;
                true
            }
            Step::Swallow(at) => {
                let is_of_client = self.socket == Some(at);
                let Some(node) = self.nodes[at].as_mut().filter(|_| !is_of_client) else {
                    return false;
                };
                let Some(Delivery::Message(entry)) = node.socket.pop_front() else {
                    return false;
                };
                node.reader.sent = entry.id;
                // Another node's acknowledgement evicts nothing.
                self.has_swallowed |= self.log.holder() == Some(node.reader.holder);
                true
            }
            Step::Acknowledge(at) => {
                let Some(node) = &self.nodes[at] else { return false };
                let through = match mutation {
                    Mutation::EarlyAcknowledgement => node.reader.after,
                    _ => node.reader.sent,
                };
                let holder = match mutation {
                    // A node that was taken over acknowledges what its own client has not received.
                    Mutation::ForeignAcknowledgement => self.log.holder().unwrap_or(node.reader.holder),
                    _ => node.reader.holder,
                };
                let before = format!("{:?}", self.log);
                self.log.acknowledge(holder, through, 0);
                before != format!("{:?}", self.log)
            }
            Step::Replicate => {
                let is_behind = format!("{:?}", self.replica) != format!("{:?}", self.log);
                self.replica = self.log.clone();
                is_behind
            }
            Step::Failover => {
                if self.failovers > 0 {
                    return false;
                }
                self.failovers += 1;
                self.log = self.replica.clone();
                // What the store has lost is no longer owed, unless the client has seen a later place.
                let kept: HashSet<MessageId> = self
                    .log
                    .read(MessageId::START, ALL)
                    .entries
                    .iter()
                    .map(|entry| entry.id)
                    .collect();
                let first = self.log.read(MessageId::START, ALL).from.number;
                self.appended
                    .retain(|(_, id, _)| kept.contains(id) || id.number <= first);
                true
            }
            Step::End => self.log.end(EndReason::Closed),
        }
    }

    fn attach(&mut self, at: usize) -> bool {
        if self.received.contains(&Received::End) {
            return false;
        }
        self.attachments += 1;
        let holder = Holder {
            node: at as u64,
            attachment: self.attachments,
        };
        // After an end, what is left is read without a holder.
        if self.log.attach(holder).is_err() && self.log.ended().is_none() {
            return false;
        }
        // The old socket of the client is gone for the client, not for its node.
        self.socket = Some(at);
        self.nodes[at] = Some(Node {
            reader: Reading {
                holder,
                after: self.cursor,
                sent: self.cursor,
                is_over: false,
            },
            socket: VecDeque::new(),
        });
        true
    }

    fn read(&mut self, at: usize, mutation: Mutation) -> bool {
        let Some(node) = &mut self.nodes[at] else {
            return false;
        };
        if node.reader.is_over {
            return false;
        }
        let mut after = node.reader.after;
        if mutation == Mutation::NumberAlone {
            let all = self.log.read(MessageId::START, ALL);
            let same = all.entries.iter().find(|entry| entry.id.number == after.number);
            after = same.map_or(after, |entry| entry.id);
        }
        let mut batch = self.log.read(
            after,
            Limit {
                messages: 2,
                bytes: 100,
            },
        );
        let is_taken_over = batch.ended.is_none() && batch.holder != Some(node.reader.holder);
        match mutation {
            Mutation::SilentGap => batch.is_gap = false,
            Mutation::NoTakeOver => batch.holder = Some(node.reader.holder),
            Mutation::HastyEnd if batch.ended.is_some() => batch.entries.clear(),
            _ => {}
        }
        if mutation == Mutation::HastyEnd && batch.ended.is_some() {
            batch.is_last = true;
        }
        // The reader of the crate, continued where the last call left it.
        let mut reader = Reader::new(node.reader.holder, after);
        let deliveries = reader.take(batch);
        let is_changed = !deliveries.is_empty();
        if is_taken_over && !matches!(deliveries[..], [Delivery::TakenOver | Delivery::TryAgain]) {
            self.broken = Some("a node that was taken over delivers");
        }
        node.reader.after = reader.after();
        node.reader.is_over = reader.is_over();
        node.socket.extend(deliveries);
        is_changed
    }

    fn receive(&mut self) -> bool {
        let Some(at) = self.socket else { return false };
        let Some(node) = &mut self.nodes[at] else {
            return false;
        };
        let Some(delivery) = node.socket.pop_front() else {
            return false;
        };
        match delivery {
            Delivery::Message(entry) => {
                node.reader.sent = entry.id;
                self.cursor = entry.id;
                let data = entry.message.data().parse().expect("a number");
                self.received.push(Received::Message(entry.id, data));
            }
            Delivery::Gap(place) => {
                node.reader.sent = place;
                self.cursor = place;
                self.received.push(Received::Gap(place));
            }
            Delivery::End(_) => {
                self.received.push(Received::End);
                self.socket = None;
            }
            Delivery::TakenOver | Delivery::TryAgain => self.socket = None,
        }
        true
    }

    /// Lets the client receive all that is left.
    pub(super) fn drain(&mut self, mutation: Mutation) {
        for _ in 0..8 {
            if self.received.contains(&Received::End) {
                return;
            }
            let at = match self.socket {
                Some(at) if self.nodes[at].is_some() => at,
                _ => {
                    if !self.attach(0) {
                        return;
                    }
                    0
                }
            };
            self.read(at, mutation);
            while self.receive() {}
        }
    }
}
