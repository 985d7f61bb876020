//! The values of fields, and their way to and from Rust types through serde.

#[cfg(feature = "host")]
mod convert;
#[cfg(feature = "host")]
mod private;

#[cfg(feature = "host")]
pub use convert::ConvertError;

/// The value of one field. Its type survives the store: an integer stays an integer, bytes come back as bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Present, and empty.
    Null,
    /// True or false.
    Boolean(bool),
    /// Exact over the whole range of 64 bits.
    Integer(i64),
    /// Always finite; stays a float where its value is whole.
    Float(f64),
    /// Unicode text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// One JSON text (RFC 8259): an array or an object as a rule. White space, escapes and numbers in it are written in one
    /// canonical form when it is stored; the order of members stays.
    Json(String),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How many bytes it takes in memory and in a record, about.
    pub fn approximate_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) => 24,
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len() * 2,
        }
    }
}

/// A field to set, or with `None` to remove.
pub type Change = (String, Option<Value>);
