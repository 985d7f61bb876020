//! The value of one field, as an engine hands it over.

/// A field's value. Its type survives the store: an integer stays an integer, bytes come back as bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Present, and empty.
    Null,
    /// True or false.
    Boolean(bool),
    /// Exact over the whole range of 64 bits.
    Integer(i64),
    /// Always finite.
    Float(f64),
    /// Unicode text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// One JSON text (RFC 8259), kept as it was written.
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
}

/// A field to set, or with `None` to remove.
pub type Change = (String, Option<Value>);
