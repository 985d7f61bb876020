//! Conversion from Rust types to values and back.

use std::fmt::Display;

use serde::de::value::{BytesDeserializer, Error as ScalarError, StringDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserializer, Serialize, Serializer, forward_to_deserialize_any};

use super::{Value, private};

/// The error of a conversion.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The integer exceeds the signed 64-bit range.
    #[error("the integer exceeds the signed 64-bit range")]
    OutOfRange,
    /// The value cannot be converted to JSON or from JSON.
    ///
    /// Serde's own message is omitted, because it quotes the value.
    #[error("conversion through JSON failed: {category:?} error at column {column}")]
    Json {
        /// The kind of error.
        category: serde_json::error::Category,
        /// The position in the JSON text, in bytes from 1; 0 if unknown.
        column: usize,
    },
    /// The stored value has another type.
    ///
    /// Serde's own message is omitted, because it quotes the value.
    #[error("the stored value has another type")]
    Type,
    /// The Rust type refused its serialisation, with this message.
    #[error("the type cannot be stored: {0}")]
    Custom(String),
    /// A map, list or structure: not a scalar. Never returned to a caller.
    #[doc(hidden)]
    #[error("not a scalar")]
    Compound,
}

impl serde::ser::Error for ConvertError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

impl Value {
    /// Converts a Rust value: scalars, texts and bytes to their own variants, anything else to JSON.
    ///
    /// # Errors
    /// If the type cannot be serialised to JSON, or an integer exceeds the signed 64-bit range.
    ///
    /// ```
    /// use tessera_contract::Value;
    ///
    /// assert_eq!(Value::of(&7)?, Value::Integer(7));
    /// assert_eq!(Value::of(&vec![1, 2])?, Value::Json("[1,2]".into()));
    /// # Ok::<(), tessera_contract::ConvertError>(())
    /// ```
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, ConvertError> {
        from_rust(value)
    }

    /// Converts the value to a Rust type.
    ///
    /// # Errors
    /// If the value has another type, or is JSON with a member whose name begins with `$serde_json::private::`, because
    /// `serde_json` would read the object as the content of that member.
    pub fn to<T: DeserializeOwned>(self) -> Result<T, ConvertError> {
        to_rust(self)
    }
}

fn from_rust<T: Serialize + ?Sized>(value: &T) -> Result<Value, ConvertError> {
    match value.serialize(Scalars) {
        Err(ConvertError::Compound) => serde_json::to_string(value)
            .map(Value::Json)
            .map_err(|error| as_json(&error)),
        scalar => scalar,
    }
}

fn to_rust<T: DeserializeOwned>(value: Value) -> Result<T, ConvertError> {
    match value {
        Value::Json(text) => private::check(&text)
            .and_then(|()| serde_json::from_str(&text))
            .map_err(|error| as_json(&error)),
        scalar => T::deserialize(Stored(scalar)).map_err(|_: ScalarError| ConvertError::Type),
    }
}

fn as_json(error: &serde_json::Error) -> ConvertError {
    ConvertError::Json {
        category: error.classify(),
        column: error.column(),
    }
}

/// Serialises scalars, and refuses everything else with [`ConvertError::Compound`].
struct Scalars;

type Never = serde::ser::Impossible<Value, ConvertError>;

/// Methods that convert one argument to one value.
macro_rules! scalar {
    ($($method:ident($type:ty) => |$value:ident| $made:expr;)*) => {
        $(fn $method(self, $value: $type) -> Result<Value, ConvertError> { $made })*
    };
}

/// Methods that begin a compound value.
macro_rules! compound {
    ($($method:ident($($type:ty),*) -> $answer:ty;)*) => {
        $(fn $method(self, $(_: $type),*) -> Result<$answer, ConvertError> { Err(ConvertError::Compound) })*
    };
}

impl Serializer for Scalars {
    type Ok = Value;
    type Error = ConvertError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    scalar! {
        serialize_bool(bool) => |value| Ok(Value::Boolean(value));
        serialize_i8(i8) => |value| Ok(Value::Integer(value.into()));
        serialize_i16(i16) => |value| Ok(Value::Integer(value.into()));
        serialize_i32(i32) => |value| Ok(Value::Integer(value.into()));
        serialize_i64(i64) => |value| Ok(Value::Integer(value));
        serialize_i128(i128) => |value| integer(value);
        serialize_u8(u8) => |value| Ok(Value::Integer(value.into()));
        serialize_u16(u16) => |value| Ok(Value::Integer(value.into()));
        serialize_u32(u32) => |value| Ok(Value::Integer(value.into()));
        serialize_u64(u64) => |value| integer(value);
        serialize_u128(u128) => |value| integer(value);
        serialize_f32(f32) => |value| Ok(Value::Float(value.into()));
        serialize_f64(f64) => |value| Ok(Value::Float(value));
        serialize_char(char) => |value| Ok(Value::Text(value.into()));
        serialize_str(&str) => |value| Ok(Value::Text(value.into()));
        serialize_bytes(&[u8]) => |value| Ok(Value::Bytes(value.into()));
        serialize_unit_struct(&'static str) => |_name| Ok(Value::Null);
    }

    fn serialize_none(self) -> Result<Value, ConvertError> {
        Ok(Value::Null)
    }

    fn serialize_unit(self) -> Result<Value, ConvertError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ConvertError> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, ConvertError> {
        Ok(Value::Text(variant.into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, ConvertError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Value, ConvertError> {
        Err(ConvertError::Compound)
    }

    compound! {
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct(&'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }
}

fn integer<N: TryInto<i64>>(value: N) -> Result<Value, ConvertError> {
    value
        .try_into()
        .map(Value::Integer)
        .map_err(|_| ConvertError::OutOfRange)
}

/// Deserialises a stored scalar.
struct Stored(Value);

impl<'de> Deserializer<'de> for Stored {
    type Error = ScalarError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ScalarError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Integer(value) => visitor.visit_i64(value),
            Value::Float(value) => visitor.visit_f64(value),
            Value::Text(text) => visitor.visit_string(text),
            Value::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            // Unreachable: `to_rust` handles JSON.
            Value::Json(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ScalarError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            value => visitor.visit_some(Stored(value)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ScalarError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ScalarError> {
        match self.0 {
            Value::Text(text) => StringDeserializer::new(text).deserialize_enum(name, variants, visitor),
            other => Stored(other).deserialize_any(visitor),
        }
    }

    /// `Vec<u8>` deserialises from a sequence.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ScalarError> {
        match self.0 {
            Value::Bytes(bytes) => visitor.visit_seq(serde::de::value::SeqDeserializer::new(
                bytes.into_iter().map(|byte| {
                    let byte: serde::de::value::U8Deserializer<ScalarError> = byte.into_deserializer();
                    byte
                }),
            )),
            other => Stored(other).deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ScalarError> {
        match self.0 {
            Value::Bytes(bytes) => BytesDeserializer::new(&bytes).deserialize_any(visitor),
            other => Stored(other).deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string byte_buf
        unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Role {
        Admin,
        Member { since: u16 },
    }

    fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, stored: Value) {
        assert_eq!(from_rust(&value).unwrap(), stored);
        assert_eq!(to_rust::<T>(stored).unwrap(), value);
    }

    #[test]
    fn rust_types_come_back_as_they_were() {
        round_trip(7_u8, Value::Integer(7));
        round_trip(i64::MIN, Value::Integer(i64::MIN));
        round_trip(1.0_f64, Value::Float(1.0));
        round_trip(true, Value::Boolean(true));
        round_trip("x".to_owned(), Value::Text("x".into()));
        round_trip('x', Value::Text("x".into()));
        round_trip(None::<u8>, Value::Null);
        round_trip(Some(5_u8), Value::Integer(5));
        round_trip((), Value::Null);
        round_trip(Role::Admin, Value::Text("Admin".into()));
        round_trip(
            Role::Member { since: 3 },
            Value::Json(r#"{"Member":{"since":3}}"#.into()),
        );
        round_trip(vec![1_u16, 2], Value::Json("[1,2]".into()));
        round_trip(
            BTreeMap::from([("a".to_owned(), 1)]),
            Value::Json(r#"{"a":1}"#.into()),
        );
        assert_eq!(
            to_rust::<Vec<u8>>(Value::Bytes(vec![1, 255])).unwrap(),
            vec![1, 255]
        );
        assert_eq!(to_rust::<f64>(Value::Integer(2)).unwrap(), 2.0);
    }

    #[test]
    fn another_type_or_range_is_refused() {
        assert!(matches!(
            to_rust::<u8>(Value::Integer(256)),
            Err(ConvertError::Type)
        ));
        assert!(matches!(
            to_rust::<u8>(Value::Text("1".into())),
            Err(ConvertError::Type)
        ));
        assert!(matches!(
            to_rust::<u8>(Value::Json("[]".into())),
            Err(ConvertError::Json { .. })
        ));
        assert!(matches!(from_rust(&u64::MAX), Err(ConvertError::OutOfRange)));
        assert!(matches!(
            from_rust(&BTreeMap::from([((1, 2), 3)])),
            Err(ConvertError::Json { .. })
        ));
    }
}
