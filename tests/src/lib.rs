//! What is shared by all hosts: the store suite and the scenarios.

pub mod interleave;
pub mod scenario;
pub mod servers;
pub mod store_suite;
pub mod stores;
