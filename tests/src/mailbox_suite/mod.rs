//! The mailbox suite: properties that every [`Mailbox`] must have.
//!
//! Each property gets new, empty mailboxes and two nodes over them. Times are passed as arguments, relative to the wall clock at
//! the start, so that native TTLs of a store do not interfere; no property sleeps.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a property that does not hold says so"
)]

mod concurrency;
mod lives;
mod model;
mod notices;
mod subject;

use tessera::connections::Mailbox;

use subject::Subject;

/// Checks every property; `make` returns two nodes over new, empty mailboxes.
///
/// # Panics
/// If a property does not hold.
pub async fn check<M: Mailbox, F: AsyncFn() -> (M, M)>(make: F) {
    check_stored(&make).await;
    notices::a_change_after_a_read_is_reported_to_every_node_that_has_read(&Subject::new(make().await)).await;
    notices::a_node_that_reads_after_each_notice_misses_nothing(&Subject::new(make().await)).await;
}

/// Checks every property of what is stored, for mailboxes that deliver by themselves and report no changes.
///
/// # Panics
/// If a property does not hold.
pub async fn check_stored<M: Mailbox, F: AsyncFn() -> (M, M)>(make: &F) {
    model::random_calls_have_the_results_of_the_model(&Subject::new(make().await)).await;
    lives::a_mailbox_is_missing_from_its_moment_on(&Subject::new(make().await)).await;
    lives::a_time_is_lengthened_by_a_keeper_and_set_by_an_end(&Subject::new(make().await)).await;
    lives::a_name_is_taken_while_its_mailbox_lives(&Subject::new(make().await)).await;
    lives::a_walk_lists_every_mailbox(&Subject::new(make().await)).await;
    lives::texts_are_returned_as_they_were_sent(&Subject::new(make().await)).await;
    concurrency::concurrent_appends_have_one_order(&Subject::new(make().await)).await;
    concurrency::concurrent_retries_are_one_message(&Subject::new(make().await)).await;
    concurrency::an_end_has_its_place_among_concurrent_appends(&Subject::new(make().await)).await;
}
