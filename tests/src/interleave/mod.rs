//! Every order in which several clients' steps in the store can come, on the real component.
//!
//! A step is one question that a client's engine asks its store: the store answers when the scheduler says so and not before,
//! so that a run is a list of choices, and all runs can be taken. [`explore`] takes them; [`model`] and [`linear`] judge each.

pub mod calls;
pub mod campaign;
pub mod clients;
pub mod contents;
pub mod engines;
pub mod explore;
pub mod judge;
pub mod linear;
pub mod model;
pub mod plan;
pub mod player;
pub mod recall;
pub mod report;
pub mod run;
pub mod store;
pub mod witness;
