//! What is shared by all hosts: the store suite, the scenarios, the servers they run over; and what several tests share.

pub mod edge;
pub mod faulted;
pub mod flood;
pub mod http_client;
pub mod interleave;
pub mod program;
pub mod scenario;
pub mod servers;
pub mod store_suite;
pub mod stores;
