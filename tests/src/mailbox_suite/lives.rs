//! The time of a mailbox, its name and its texts.

use std::collections::BTreeSet;

use tessera::connections::{
    Bounds, EndReason, Holder, Limit, Mailbox, MailboxError, Message, MessageId, Name,
};
use tessera::store::StoreError;

use super::subject::{Subject, text};

const HOLDER: Holder = Holder {
    node: 1,
    attachment: 2,
};

async fn is_there<M: Mailbox>(subject: &Subject<M>, name: &Name, millis: u64) -> bool {
    let read = subject
        .two
        .read(subject.at(millis), name, MessageId::START, Limit::default());
    match read.await {
        Ok(_) => true,
        Err(MailboxError::Missing) => false,
        Err(error) => panic!("{error}"),
    }
}

pub(super) async fn a_mailbox_is_missing_from_its_moment_on<M: Mailbox>(subject: &Subject<M>) {
    let name = subject.opened().await;
    let (before, after) = (subject.at(59_999), subject.at(60_000));
    assert!(is_there(subject, &name, 59_999).await);
    assert!(!is_there(subject, &name, 60_000).await);
    let (one, bounds) = (&subject.one, Bounds::default());
    let missing = |result: Result<(), MailboxError>| matches!(result, Err(MailboxError::Missing));
    let message = text("x");
    let appended = one.append(after, &name, &message, None, &bounds).await;
    assert!(missing(appended.map(drop)));
    assert!(missing(
        one.attach(after, &name, HOLDER, subject.at(90_000)).await
    ));
    assert!(missing(
        one.acknowledge(after, &name, HOLDER, MessageId::START, 0).await
    ));
    assert!(
        !one.detach(after, &name, HOLDER, subject.at(90_000))
            .await
            .expect("a detachment")
    );
    assert!(
        !one.end(after, &name, EndReason::Closed, subject.at(90_000))
            .await
            .expect("an end")
    );
    let names = [name];
    assert_eq!(
        one.keep(after, &names, subject.at(90_000)).await.expect("a keep"),
        names
    );
    assert!(one.look(after, &names).await.expect("a look").is_empty());
    assert_eq!(one.look(before, &names).await.expect("a look").len(), 1);
}

pub(super) async fn a_time_is_lengthened_by_a_keeper_and_set_by_an_end<M: Mailbox>(subject: &Subject<M>) {
    let (one, now) = (&subject.one, subject.at(1));
    let name = subject.opened().await;
    let names = [name.clone()];
    assert!(
        one.keep(now, &names, subject.at(30_000))
            .await
            .expect("a keep")
            .is_empty()
    );
    assert!(is_there(subject, &name, 59_999).await);
    assert!(
        one.keep(now, &names, subject.at(70_000))
            .await
            .expect("a keep")
            .is_empty()
    );
    assert!(is_there(subject, &name, 69_999).await);
    one.attach(now, &name, HOLDER, subject.at(80_000))
        .await
        .expect("an attachment");
    assert!(is_there(subject, &name, 79_999).await);
    let other = Holder {
        attachment: 3,
        ..HOLDER
    };
    assert!(
        !one.detach(now, &name, other, subject.at(2_000))
            .await
            .expect("a detachment")
    );
    assert!(is_there(subject, &name, 79_999).await);
    assert!(
        one.detach(now, &name, HOLDER, subject.at(20_000))
            .await
            .expect("a detachment")
    );
    assert!(is_there(subject, &name, 19_999).await);
    assert!(!is_there(subject, &name, 20_000).await);
    assert!(
        one.end(now, &name, EndReason::SessionOver, subject.at(10_000))
            .await
            .expect("an end")
    );
    assert!(
        !one.end(now, &name, EndReason::Closed, subject.at(50_000))
            .await
            .expect("an end")
    );
    assert!(!is_there(subject, &name, 10_000).await);
    let batch = one
        .read(now, &name, MessageId::START, Limit::default())
        .await
        .expect("a batch");
    assert_eq!(batch.ended, Some(EndReason::SessionOver));
}

pub(super) async fn a_name_is_taken_while_its_mailbox_lives<M: Mailbox>(subject: &Subject<M>) {
    let name = subject.opened().await;
    subject.append(&name, "first").await.expect("a message");
    let (now, until) = (subject.at(1), subject.at(90_000));
    // A repeat changes nothing.
    subject
        .two
        .open(now, &name, "{}", until)
        .await
        .expect("the same mailbox");
    let batch = subject
        .two
        .read(now, &name, MessageId::START, Limit::default())
        .await;
    assert_eq!(batch.expect("a batch").entries.len(), 1);
    let taken = subject.two.open(now, &name, "{\"a\":1}", until).await;
    assert!(matches!(taken, Err(MailboxError::Taken)));
    let later = subject.at(60_000);
    subject
        .two
        .open(later, &name, "{\"a\":1}", until)
        .await
        .expect("a free name");
    let batch = subject
        .two
        .read(later, &name, MessageId::START, Limit::default())
        .await
        .expect("a batch");
    assert!(batch.entries.is_empty() && !batch.is_gap);
    let found = subject.one.look(later, &[name]).await.expect("a look");
    assert_eq!(&*found[0].head, "{\"a\":1}");
}

pub(super) async fn a_walk_lists_every_mailbox<M: Mailbox>(subject: &Subject<M>) {
    let mut names = BTreeSet::new();
    for _ in 0..25 {
        names.insert(subject.opened().await);
    }
    let gone = subject.name();
    subject
        .one
        .open(subject.at(0), &gone, "{}", subject.at(10))
        .await
        .expect("a mailbox");
    for limit in [1, 7, 100] {
        let (mut found, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
        loop {
            let page = subject.two.walk(subject.at(10), &cursor, limit).await;
            let (walked, next) = page.expect("a page");
            found.extend(walked.into_iter().map(|walked| walked.name));
            pages += 1;
            assert!(pages < 1000, "the walk does not end");
            match next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        assert_eq!(found, names, "pages of {limit}");
    }
    let malformed = subject.one.walk(subject.at(10), "\u{1}", 7).await;
    assert!(matches!(
        malformed,
        Err(MailboxError::Store(StoreError::MalformedCursor))
    ));
}

pub(super) async fn texts_are_returned_as_they_were_sent<M: Mailbox>(subject: &Subject<M>) {
    let name = subject.opened().await;
    let long = "ä".repeat(30_000);
    let messages = [
        (None, ""),
        (None, "-"),
        (Some("-"), "a b\nc\r\nd"),
        (Some("tools/list"), "{\"jsonrpc\":\"2.0\"}"),
        (None, "\u{1}\u{7f}\u{10ffff}"),
        (Some("e"), &long),
    ];
    let bounds = Bounds::default();
    for (event, data) in messages {
        let message = Message::new(event, data).expect("a message");
        let appended = subject.one.append(subject.at(0), &name, &message, None, &bounds);
        appended.await.expect("an id");
    }
    let limit = Limit {
        messages: 99,
        bytes: u32::MAX,
    };
    let batch = subject
        .two
        .read(subject.at(0), &name, MessageId::START, limit)
        .await
        .expect("a batch");
    let found: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| (entry.message.event(), entry.message.data()))
        .collect();
    assert_eq!(found, messages);
    let message = text(&"x".repeat(64 * 1024 + 1));
    let refused = subject
        .one
        .append(subject.at(0), &name, &message, None, &bounds)
        .await;
    assert!(matches!(refused, Err(MailboxError::TooLarge { maximum: 65_536 })));
    let message = text(&"x".repeat(64 * 1024));
    let appended = subject
        .one
        .append(subject.at(0), &name, &message, None, &bounds)
        .await;
    assert!(appended.is_ok());
}
