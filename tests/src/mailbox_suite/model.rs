//! Random calls beside the model.

use tessera::Timestamp;
use tessera::connections::{
    Bounds, EndReason, Holder, Limit, Log, Mailbox, MailboxError, Message, MessageId, Name, Overflow,
};

use super::subject::Subject;
use crate::dice::Dice;

/// The calls on one mailbox, until another one takes its place.
const CALLS: usize = 60;
/// The mailboxes of one seed.
const MAILBOXES: usize = 12;

/// A result without its source.
fn shown<T: std::fmt::Debug>(result: Result<T, MailboxError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error}"),
    }
}

/// One mailbox and its model.
struct Twin<'a, M> {
    subject: &'a Subject<M>,
    name: Name,
    log: Log,
    dice: Dice,
    bounds: Bounds,
    /// All ids that were handed out, and some that never were.
    ids: Vec<MessageId>,
}

impl<M: Mailbox> Twin<'_, M> {
    fn now(&self) -> Timestamp {
        self.subject.at(1)
    }

    fn node(&mut self) -> &M {
        let nodes = [&self.subject.one, &self.subject.two];
        nodes[self.dice.below(2)]
    }

    fn id(&mut self) -> MessageId {
        let mut id = self.ids[self.dice.below(self.ids.len())];
        match self.dice.below(12) {
            0 => id.stamp = id.stamp.wrapping_add(1),
            1 => id.number += 1,
            2 => id.number = id.number.saturating_sub(1),
            _ => {}
        }
        id
    }

    async fn append(&mut self) -> (String, String) {
        let event = [None, Some("tick"), Some("-")][self.dice.below(3)];
        let data = "x".repeat([0, 1, 7, 30, 101][self.dice.below(5)]);
        let message = Message::new(event, &data).expect("a message");
        let key = match self.dice.below(4) {
            0 => Some(format!("key{}", self.dice.below(3)).parse().expect("a key")),
            _ => None,
        };
        let (now, bounds, name) = (self.now(), self.bounds, self.name.clone());
        let got = self
            .node()
            .append(now, &name, &message, key.as_ref(), &bounds)
            .await;
        // The store draws the stamp.
        let stamp = got.as_ref().map(|id| id.stamp).unwrap_or_default();
        let wanted = self.log.append(message, key, stamp, &bounds);
        self.ids.extend(wanted.as_ref().ok());
        (shown(got), shown(wanted))
    }

    async fn step(&mut self) -> (String, String) {
        let (now, name) = (self.now(), self.name.clone());
        let until = self.subject.at(60_000);
        let holder = Holder {
            node: self.dice.below(2) as u64,
            attachment: u64::MAX - self.dice.below(2) as u64,
        };
        match self.dice.below(20) {
            0..10 => self.append().await,
            10..14 => {
                let (after, messages) = (self.id(), self.dice.below(6) as u32);
                let limit = Limit {
                    messages,
                    bytes: [0, 40, 4000][self.dice.below(3)],
                };
                let got = self.node().read(now, &name, after, limit).await;
                (shown(got), shown(Ok(self.log.read(after, limit))))
            }
            14..17 => {
                let (through, replay) = (self.id(), self.dice.below(4) as u32);
                let holder = match self.dice.below(4) {
                    0 => holder,
                    _ => self.log.holder().unwrap_or(holder),
                };
                let got = self.node().acknowledge(now, &name, holder, through, replay).await;
                self.log.acknowledge(holder, through, replay);
                (shown(got), shown(Ok(())))
            }
            17 => {
                let got = self.node().attach(now, &name, holder, until).await;
                (shown(got), shown(self.log.attach(holder)))
            }
            18 => {
                let got = self.node().detach(now, &name, holder, until).await;
                (shown(got), shown(Ok(self.log.detach(holder))))
            }
            _ if self.dice.below(6) == 0 => {
                let got = self.node().end(now, &name, EndReason::Closed, until).await;
                (shown(got), shown(Ok(self.log.end(EndReason::Closed))))
            }
            _ => self.append().await,
        }
    }
}

/// The results and the messages of all calls are those of [`Log`].
pub(super) async fn random_calls_have_the_results_of_the_model<M: Mailbox>(subject: &Subject<M>) {
    for seed in 0..MAILBOXES {
        let mut dice = Dice::new(7, seed as u64);
        let bounds = Bounds {
            maximum_messages: 1 + dice.below(8) as u32,
            maximum_bytes: 100 + dice.below(100) as u32,
            maximum_message_bytes: 100,
            replay_messages: 0,
            overflow: [Overflow::Refuse, Overflow::DropOldest, Overflow::End][seed % 3],
        };
        let mut twin = Twin {
            subject,
            name: subject.opened().await,
            log: Log::new("{}".into()),
            dice,
            bounds,
            ids: vec![MessageId::START],
        };
        for call in 0..CALLS {
            let (got, wanted) = twin.step().await;
            assert_eq!(got, wanted, "mailbox {seed}, call {call}, {bounds:?}");
        }
        let (now, name) = (twin.now(), twin.name.clone());
        let found = subject.two.look(now, &[name]).await.expect("a look");
        let found: Vec<_> = found.iter().map(|found| (found.holder, found.ended)).collect();
        assert_eq!(found, [(twin.log.holder(), twin.log.ended())], "mailbox {seed}");
    }
}
