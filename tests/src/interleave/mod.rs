//! Explores every order of several clients' store operations, on the real component.
//!
//! A step is one store operation of a client's engine. The store replies when the scheduler decides, so that a run is a
//! list of choices and all runs can be taken. [`explore`] takes them, and [`model`] and [`linear`] judge each.

pub mod calls;
pub mod campaign;
pub mod clients;
pub mod contents;
pub mod digest;
pub mod engine;
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
mod seat;
pub mod store;
pub mod witness;
