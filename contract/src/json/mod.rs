//! JSON texts (RFC 8259), read in place without building a tree.

mod canonical;
mod float;
mod number;
mod plain;
mod scanner;
mod text;
mod writer;

pub use canonical::push_canonical;
pub use float::read_float;
pub use scanner::{Fault, MAXIMUM_DEPTH, Names, Scanner, check};
pub use text::{slice, unescape};
pub use writer::{decimal, push_string, push_string_body, push_unsigned};
