//! Concurrent calls on one mailbox.

use futures_util::future::join_all;
use tessera::connections::{Bounds, EndReason, Limit, Mailbox, MailboxError, MessageId};

use super::subject::{Subject, text};

const ALL: Limit = Limit {
    messages: u32::MAX,
    bytes: u32::MAX,
};

pub(super) async fn concurrent_appends_have_one_order<M: Mailbox>(subject: &Subject<M>) {
    let name = subject.opened().await;
    let (senders, each) = (8, 40);
    let send = |sender: usize| {
        let (name, node) = (&name, [&subject.one, &subject.two][sender % 2]);
        async move {
            let mut ids = Vec::new();
            for number in 0..each {
                let message = text(&format!("{sender} {number}"));
                let sent = node
                    .append(subject.at(0), name, &message, None, &Bounds::default())
                    .await;
                ids.push((sent.expect("an id"), message));
            }
            ids
        }
    };
    let sent = join_all((0..senders).map(send)).await;
    for ids in &sent {
        assert!(ids.is_sorted_by(|one, two| one.0.number < two.0.number));
    }
    let mut wanted: Vec<_> = sent.into_iter().flatten().collect();
    wanted.sort_by_key(|(id, _)| id.number);
    let batch = subject
        .two
        .read(subject.at(0), &name, MessageId::START, ALL)
        .await
        .expect("a batch");
    let found: Vec<_> = batch
        .entries
        .into_iter()
        .map(|entry| (entry.id, entry.message))
        .collect();
    assert_eq!(found, wanted);
    assert!(
        found
            .iter()
            .map(|(id, _)| id.number)
            .eq(1..=(senders * each) as u64)
    );
}

pub(super) async fn concurrent_retries_are_one_message<M: Mailbox>(subject: &Subject<M>) {
    let name = subject.opened().await;
    let key = "the-key".parse().expect("a key");
    let (message, bounds) = (text("x"), Bounds::default());
    let tries = (0..12).map(|number| {
        let node = [&subject.one, &subject.two][number % 2];
        node.append(subject.at(0), &name, &message, Some(&key), &bounds)
    });
    let ids: Vec<_> = join_all(tries)
        .await
        .into_iter()
        .map(|id| id.expect("an id"))
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let batch = subject
        .one
        .read(subject.at(0), &name, MessageId::START, ALL)
        .await
        .expect("a batch");
    assert_eq!(batch.entries.len(), 1);
}

pub(super) async fn an_end_has_its_place_among_concurrent_appends<M: Mailbox>(subject: &Subject<M>) {
    for _ in 0..10 {
        let name = subject.opened().await;
        let sending = async {
            let mut acknowledged = 0;
            for _ in 0..20 {
                match subject.append(&name, "x").await {
                    Ok(_) => acknowledged += 1,
                    Err(MailboxError::Ended) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            acknowledged
        };
        let ending = subject
            .two
            .end(subject.at(0), &name, EndReason::Closed, subject.at(60_000));
        let (acknowledged, ended) = tokio::join!(sending, ending);
        assert!(ended.expect("an end"));
        let batch = subject
            .two
            .read(subject.at(0), &name, MessageId::START, ALL)
            .await
            .expect("a batch");
        assert_eq!(
            (batch.entries.len(), batch.ended),
            (acknowledged, Some(EndReason::Closed))
        );
    }
}
