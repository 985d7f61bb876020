//! Integers of 64 bits in JSON, as decimal texts, because JavaScript's numbers are exact to 53 bits only.
//!
//! For serde's attribute `with`: `#[serde(with = "tessera_contract::decimal")]`.
//! For an optional number, use `decimal::option` together with `default`.
//! A JSON number is accepted as well.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, Serializer};

use crate::{Timestamp, millis};

/// A type that is an unsigned integer of 64 bits in JSON.
pub trait Decimal: Copy {
    /// Returns the number; for a timestamp or a duration, its milliseconds.
    fn number(self) -> u64;

    /// Creates the value from its number.
    fn of(number: u64) -> Self;
}

impl Decimal for u64 {
    fn number(self) -> u64 {
        self
    }

    fn of(number: u64) -> Self {
        number
    }
}

impl Decimal for Timestamp {
    fn number(self) -> u64 {
        self.as_millis()
    }

    fn of(number: u64) -> Self {
        Self::from_millis(number)
    }
}

impl Decimal for Duration {
    fn number(self) -> u64 {
        millis(self)
    }

    fn of(number: u64) -> Self {
        Self::from_millis(number)
    }
}

/// Serialises the number as a text of its digits.
///
/// # Errors
/// The serializer's.
pub fn serialize<T: Decimal, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.number())
}

/// Deserialises a text of digits, or a number.
///
/// # Errors
/// If it is not an unsigned integer of 64 bits.
pub fn deserialize<'de, T: Decimal, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Digits(PhantomData))
}

struct Digits<T>(PhantomData<T>);

impl<T: Decimal> Visitor<'_> for Digits<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer in decimal digits")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let number = text.parse().map(T::of);
        number.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(T::of(number))
    }
}

/// The same for an optional number.
pub mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Decimal;

    struct Number<T>(T);

    impl<T: Decimal> Serialize for Number<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            super::serialize(&self.0, serializer)
        }
    }

    impl<'de, T: Decimal> Deserialize<'de> for Number<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            super::deserialize(deserializer).map(Self)
        }
    }

    /// Serialises the number as a text of its digits, or null.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<T: Decimal, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Number).serialize(serializer)
    }

    /// Deserialises a text of digits, a number, or null.
    ///
    /// # Errors
    /// If it is neither null nor an unsigned integer of 64 bits.
    pub fn deserialize<'de, T: Decimal, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let number = Option::<Number<T>>::deserialize(deserializer)?;
        Ok(number.map(|Number(number)| number))
    }
}
