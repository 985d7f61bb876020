//! What is shared by all hosts: the store suite and the scenarios.

pub mod store_suite;
