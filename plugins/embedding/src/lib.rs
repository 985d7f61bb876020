//! The engine in a process of another language, which forks, ends and handles signals as it likes.
//!
//! The extension module of Python is a layer over this crate, as every library for another language in the same process is.
//! A thread is *inside* while it polls a future of the engine, or holds a lock of this crate; no process is forked meanwhile.

mod begun;
mod clock;
mod engine;
pub mod fork;
mod forked;
mod process;
mod report;
pub mod runtime;
mod sqlite_files;

pub use begun::all as begun_writes;
pub use clock::SetClock;
pub use engine::{Engine, EngineError, Made, Place, Recipe, close};
pub use report::{Report, chain};
