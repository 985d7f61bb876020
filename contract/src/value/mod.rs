//! The values of fields, and their conversion from and to Rust types through serde.

#[cfg(feature = "host")]
mod convert;
#[cfg(feature = "host")]
mod private;

#[cfg(feature = "host")]
pub use convert::ConvertError;

/// The value of one field. The store preserves its type: an integer remains an integer, bytes remain bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A present field without a value.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer, exact over the whole range of 64 bits.
    Integer(i64),
    /// A finite float. It remains a float if its value is an integer.
    Float(f64),
    /// Unicode text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// One JSON text (RFC 8259), usually an array or an object.
    ///
    /// White space, escapes and numbers are made canonical when it is stored. The order of members is kept.
    Json(String),
}

impl Value {
    /// Returns the text, if the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the approximate size in memory and in a record, in bytes.
    pub fn approximate_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Float(_) => 24,
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len() * 2,
        }
    }
}

/// The name of a field, and the value to set; `None` removes the field.
pub type Change = (String, Option<Value>);
