//! What is shared by all hosts: the store suite and the scenarios; and what several tests share.

pub mod edge;
pub mod http_client;
pub mod interleave;
pub mod scenario;
pub mod store_suite;
pub mod stores;
