//! What is shared by all hosts: the store suite, the scenarios, the servers they run over; and what several tests share.

pub mod chaos;
pub mod edge;
pub mod flood;
pub mod http_client;
pub mod interleave;
pub mod program;
pub mod scenario;
pub mod servers;
pub mod store_suite;
pub mod stores;

use std::error::Error;

/// All that an error shows of itself and of its sources, in one line.
#[must_use]
pub fn whole(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source} {source:?}"));
        next = source.source();
    }
    text
}
