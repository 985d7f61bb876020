//! Numbers of 64 bits in JSON: as decimal texts, because JavaScript's numbers are exact to 53 bits only.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct U64(pub(crate) u64);

impl Serialize for U64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for U64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = U64;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a whole number in decimal digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<U64, E> {
                text.parse()
                    .map(U64)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<U64, E> {
                Ok(U64(number))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
