//! A check for the names that `serde_json` reserves.
//!
//! `serde_json::Value` and `RawValue` read an object whose only member has a reserved name as the content of that member.
//! The object `{"$serde_json::private::RawValue":"\"admin\""}` would be read as the text `admin`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

const PREFIX: &str = "$serde_json::private::";

/// Refuses JSON with a member that has a reserved name, in any escaping.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    if !text.contains(PREFIX) && !text.contains("\\u") {
        return Ok(());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Names.deserialize(&mut deserializer)
}

/// Visits the names of all members.
#[derive(Clone, Copy)]
struct Names;

impl<'de> DeserializeSeed<'de> for Names {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name.starts_with(PREFIX) {
                return Err(A::Error::custom("a name that serde_json reserves"));
            }
            members.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_name_is_refused_wherever_it_stands_and_however_it_is_written() {
        for name in [
            "$serde_json::private::RawValue",
            "$serde_json::private::Number",
            "\\u0024serde_json::private::RawValue",
            "$serde_json::priv\\u0061te::RawValue",
        ] {
            for text in [
                format!(r#"{{"{name}":"1"}}"#),
                format!(r#"[0,{{"a":[{{"{name}":"1"}}]}}]"#),
            ] {
                assert!(check(&text).is_err(), "{text}");
            }
        }
        for fit in [
            "[1e400]",
            r#"{"a":"$serde_json::private::RawValue"}"#,
            r#"{"\u0061":[true,null,-1,1.5,"\u0024",{}]}"#,
        ] {
            assert!(check(fit).is_ok(), "{fit}");
        }
    }

    /// The reason for the check. If this test fails, `serde_json` has dropped the reserved names.
    #[test]
    fn serde_json_reads_an_object_with_a_private_name_as_its_content() {
        let text = r#"{"$serde_json::private::RawValue":"\"admin\""}"#;
        let read: serde_json::Value = serde_json::from_str(text).expect("it is read");
        assert_eq!(read, "admin");
    }
}
