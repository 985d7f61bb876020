//! Notifications of changes.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tessera::connections::{Changed, EndReason, Holder, Limit, Mailbox, MessageId, Name};
use tokio::time::timeout;

use super::subject::Subject;

/// A notification that has not arrived by then is missing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the stream reports this mailbox or a loss of notifications.
async fn notified(changes: &mut (impl futures_util::Stream<Item = Changed> + Unpin), name: &Name) {
    let wait = async {
        while let Some(changed) = changes.next().await {
            if changed == Changed::Missed || changed == Changed::Mailbox(name.clone()) {
                return;
            }
        }
        panic!("the notifications have ended");
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "no notification of {name}");
}

pub(super) async fn a_change_after_a_read_is_reported_to_every_node_that_has_read<M: Mailbox>(
    subject: &Subject<M>,
) {
    let (now, until) = (subject.at(0), subject.at(60_000));
    let holder = Holder {
        node: 1,
        attachment: 1,
    };
    let mut changes = [pin!(subject.one.changed()), pin!(subject.two.changed())];
    for change in 0..4 {
        let name = subject.opened().await;
        for node in [&subject.one, &subject.two] {
            let read = node.read(now, &name, MessageId::START, Limit::default()).await;
            read.expect("a batch");
        }
        let by = [&subject.one, &subject.two][change % 2];
        match change {
            0 | 1 => drop(
                by.append(now, &name, &super::subject::text("x"), None, &Default::default())
                    .await
                    .expect("an id"),
            ),
            2 => by.attach(now, &name, holder, until).await.expect("an attachment"),
            _ => assert!(
                by.end(now, &name, EndReason::Closed, until)
                    .await
                    .expect("an end")
            ),
        }
        for stream in &mut changes {
            notified(stream, &name).await;
        }
    }
}

/// A reader that reads once after each notification sees every message.
pub(super) async fn a_node_that_reads_after_each_notice_misses_nothing<M: Mailbox>(subject: &Subject<M>) {
    const MESSAGES: u64 = 300;
    let name = subject.opened().await;
    let mut changes = pin!(subject.two.changed());
    let sending = async {
        for number in 0..MESSAGES {
            subject.append(&name, &number.to_string()).await.expect("an id");
            if number % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let reading = async {
        let (mut after, mut received) = (MessageId::START, Vec::new());
        loop {
            let batch = subject
                .two
                .read(subject.at(0), &name, after, Limit::default())
                .await
                .expect("a batch");
            assert!(!batch.is_gap);
            for entry in &batch.entries {
                after = entry.id;
                received.push(entry.message.data().to_owned());
            }
            if received.len() as u64 == MESSAGES {
                return received;
            }
            if batch.is_last {
                notified(&mut changes, &name).await;
            }
        }
    };
    let ((), received) = tokio::join!(sending, reading);
    let wanted: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(received, wanted);
}
