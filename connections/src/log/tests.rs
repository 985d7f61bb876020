use super::*;
use crate::bounds::Overflow;

const HOLDER: Holder = Holder {
    node: 1,
    attachment: 9,
};

fn log() -> Log {
    Log::new("{}".into())
}

fn message(data: &str) -> Message {
    Message::new(None, data).unwrap()
}

fn bounds(maximum_messages: u32, maximum_bytes: u32) -> Bounds {
    Bounds {
        maximum_messages,
        maximum_bytes,
        maximum_message_bytes: maximum_bytes,
        replay_messages: 2,
        overflow: Overflow::Refuse,
    }
}

/// Appends messages with these stamps, each of one byte.
fn fill(log: &mut Log, stamps: impl IntoIterator<Item = u32>, bounds: &Bounds) {
    for stamp in stamps {
        log.append(message("x"), None, stamp, bounds).unwrap();
    }
}

fn id(number: u64, stamp: u32) -> MessageId {
    MessageId { number, stamp }
}

fn numbers(batch: &Batch) -> Vec<u64> {
    batch.entries.iter().map(|entry| entry.id.number).collect()
}

const ALL: Limit = Limit {
    messages: u32::MAX,
    bytes: u32::MAX,
};

#[test]
fn messages_are_read_in_their_order_after_a_place() {
    let mut log = log();
    fill(&mut log, [11, 12, 13], &bounds(8, 80));
    let all = log.read(MessageId::START, ALL);
    assert_eq!(
        (numbers(&all), all.is_gap, all.is_last),
        (vec![1, 2, 3], false, true)
    );
    let rest = log.read(id(2, 12), ALL);
    assert_eq!(
        (numbers(&rest), rest.is_gap, rest.from),
        (vec![3], false, id(2, 12))
    );
    let nothing = log.read(id(3, 13), ALL);
    assert_eq!(
        (numbers(&nothing), nothing.is_gap, nothing.is_last),
        (vec![], false, true)
    );
}

#[test]
fn a_place_of_another_history_is_a_gap_and_all_that_is_there_is_read_again() {
    let mut log = log();
    fill(&mut log, [11, 12], &bounds(8, 80));
    for lost in [id(2, 99), id(3, 13), id(MessageId::MAXIMUM_NUMBER, 1), id(0, 1)] {
        let batch = log.read(lost, ALL);
        assert_eq!((numbers(&batch), batch.is_gap), (vec![1, 2], true), "{lost}");
        assert_eq!(batch.from, MessageId::START);
    }
}

#[test]
fn what_was_evicted_before_a_place_is_no_gap_and_what_was_evicted_after_it_is_one() {
    let mut log = log();
    let bounds = bounds(8, 80);
    fill(&mut log, [11, 12, 13, 14], &bounds);
    log.attach(HOLDER).unwrap();
    log.acknowledge(HOLDER, id(4, 14), 1);
    let at = |place| {
        let batch = log.read(place, ALL);
        (numbers(&batch), batch.is_gap, batch.from)
    };
    assert_eq!(at(id(3, 13)), (vec![4], false, id(3, 13)));
    assert_eq!(at(id(3, 99)), (vec![4], true, id(3, 13)));
    assert_eq!(at(id(2, 12)), (vec![4], true, id(3, 13)));
    assert_eq!(at(MessageId::START), (vec![4], true, id(3, 13)));
}

#[test]
fn a_reader_that_continues_from_a_gap_sees_it_once_even_where_nothing_is_left() {
    let mut log = log();
    fill(&mut log, [11, 12], &bounds(8, 80));
    log.attach(HOLDER).unwrap();
    log.acknowledge(HOLDER, id(2, 12), 0);
    let gap = log.read(MessageId::START, ALL);
    assert_eq!((numbers(&gap), gap.is_gap, gap.from), (vec![], true, id(2, 12)));
    assert!(!log.read(gap.from, ALL).is_gap);
}

#[test]
fn a_batch_is_bounded_and_never_empty_while_there_is_more() {
    let mut log = log();
    for data in ["aaaa", "bb", "cc", "d"] {
        log.append(message(data), None, 1, &bounds(8, 80)).unwrap();
    }
    let with = |messages, bytes, after| {
        let batch = log.read(after, Limit { messages, bytes });
        (numbers(&batch), batch.is_last)
    };
    assert_eq!(with(9, 9, MessageId::START), (vec![1, 2, 3, 4], true));
    assert_eq!(with(9, 8, MessageId::START), (vec![1, 2, 3], false));
    assert_eq!(with(2, 80, MessageId::START), (vec![1, 2], false));
    assert_eq!(with(9, 1, MessageId::START), (vec![1], false));
    assert_eq!(with(0, 0, id(3, 1)), (vec![4], true));
}

#[test]
fn a_full_mailbox_refuses_until_messages_are_acknowledged() {
    for bounds in [bounds(3, 80), bounds(8, 3)] {
        let mut log = log();
        fill(&mut log, [1, 2, 3], &bounds);
        let full = log.append(message("x"), None, 4, &bounds);
        assert!(matches!(full, Err(MailboxError::Full)));
        assert_eq!(numbers(&log.read(MessageId::START, ALL)), [1, 2, 3]);
        log.attach(HOLDER).unwrap();
        log.acknowledge(HOLDER, id(1, 1), 2);
        assert_eq!(numbers(&log.read(MessageId::START, ALL)), [1, 2, 3]);
        // The acknowledged message is kept for a replay until its room is needed.
        assert_eq!(log.append(message("x"), None, 4, &bounds).unwrap(), id(4, 4));
        assert_eq!(numbers(&log.read(id(1, 1), ALL)), [2, 3, 4]);
        assert!(matches!(
            log.append(message("x"), None, 5, &bounds),
            Err(MailboxError::Full)
        ));
    }
}

#[test]
fn the_rules_of_a_full_mailbox_drop_the_oldest_message_or_end_the_connection() {
    let mut bounds = bounds(2, 80);
    bounds.overflow = Overflow::DropOldest;
    let mut dropping = log();
    fill(&mut dropping, [1, 2, 3], &bounds);
    let batch = dropping.read(MessageId::START, ALL);
    assert_eq!((numbers(&batch), batch.is_gap), (vec![2, 3], true));

    bounds.overflow = Overflow::End;
    let mut ending = log();
    fill(&mut ending, [1, 2], &bounds);
    assert!(matches!(
        ending.append(message("x"), None, 3, &bounds),
        Err(MailboxError::Ended)
    ));
    let batch = ending.read(MessageId::START, ALL);
    assert_eq!(
        (numbers(&batch), batch.ended),
        (vec![1, 2], Some(EndReason::Overflow))
    );
}

#[test]
fn a_message_of_the_maximum_size_is_stored_and_a_larger_one_is_refused() {
    let mut bounds = bounds(2, 80);
    bounds.maximum_message_bytes = 4;
    let mut log = log();
    let key: SendKey = "k".parse().unwrap();
    assert!(log.append(message("123"), Some(key.clone()), 1, &bounds).is_ok());
    let refused = log.append(message("1234"), Some("l".parse().unwrap()), 1, &bounds);
    assert!(matches!(refused, Err(MailboxError::TooLarge { maximum: 4 })));
}

#[test]
fn a_retry_has_the_id_of_the_first_try_among_the_last_sixteen() {
    let bounds = bounds(64, 640);
    let mut log = log();
    let key: SendKey = "key".parse().unwrap();
    let first = log.append(message("x"), Some(key.clone()), 7, &bounds).unwrap();
    fill(&mut log, 0..15, &bounds);
    assert_eq!(
        log.append(message("y"), Some(key.clone()), 8, &bounds).unwrap(),
        first
    );
    assert_eq!(numbers(&log.read(MessageId::START, ALL)).len(), 16);
    fill(&mut log, 0..1, &bounds);
    assert_eq!(
        log.append(message("y"), Some(key), 8, &bounds).unwrap(),
        id(18, 8)
    );
}

#[test]
fn an_end_stands_after_all_messages_and_nothing_follows_it() {
    let bounds = bounds(8, 80);
    let mut log = log();
    fill(&mut log, [1], &bounds);
    assert!(log.end(EndReason::Closed));
    assert!(!log.end(EndReason::SessionOver));
    assert!(matches!(
        log.append(message("x"), None, 2, &bounds),
        Err(MailboxError::Ended)
    ));
    assert!(matches!(
        log.attach(Holder {
            node: 1,
            attachment: 1
        }),
        Err(MailboxError::Ended)
    ));
    let batch = log.read(MessageId::START, ALL);
    assert_eq!((numbers(&batch), batch.ended), (vec![1], Some(EndReason::Closed)));
}

#[test]
fn a_retry_after_the_end_has_the_id_of_the_message_that_was_stored_before_it() {
    let bounds = bounds(8, 80);
    let key: SendKey = "k".parse().unwrap();
    let mut log = log();
    let stored = log.append(message("x"), Some(key.clone()), 1, &bounds).unwrap();
    log.end(EndReason::Closed);
    let retried = log.append(message("x"), Some(key), 2, &bounds);
    assert_eq!(retried.unwrap(), stored);
}

#[test]
fn only_the_holder_detaches() {
    let (a, b) = (
        Holder {
            node: 1,
            attachment: 1,
        },
        Holder {
            node: 1,
            attachment: 2,
        },
    );
    let mut log = log();
    log.attach(a).unwrap();
    log.attach(b).unwrap();
    assert!(!log.detach(a));
    assert_eq!(log.holder(), Some(b));
    assert!(log.detach(b));
    assert_eq!(log.holder(), None);
}

#[test]
fn only_the_holder_acknowledges_for_its_client() {
    let bounds = bounds(8, 80);
    let mut log = log();
    fill(&mut log, [1, 2], &bounds);
    let other = Holder {
        attachment: 1,
        ..HOLDER
    };
    log.acknowledge(HOLDER, id(2, 2), 0);
    log.attach(HOLDER).unwrap();
    log.acknowledge(other, id(2, 2), 0);
    assert_eq!(numbers(&log.read(MessageId::START, ALL)), [1, 2]);
    log.acknowledge(HOLDER, id(2, 2), 0);
    assert!(numbers(&log.read(MessageId::START, ALL)).is_empty());
}

#[test]
fn an_acknowledgement_of_a_lost_or_older_message_changes_nothing() {
    let bounds = bounds(8, 80);
    let mut log = log();
    fill(&mut log, [1, 2, 3], &bounds);
    log.attach(HOLDER).unwrap();
    for lost in [id(3, 9), id(4, 4), id(9, 9)] {
        log.acknowledge(HOLDER, lost, 0);
        assert_eq!(numbers(&log.read(MessageId::START, ALL)), [1, 2, 3], "{lost}");
    }
    log.acknowledge(HOLDER, id(2, 2), 2);
    log.acknowledge(HOLDER, id(1, 1), 0);
    assert_eq!(numbers(&log.read(MessageId::START, ALL)), [1, 2, 3]);
}
