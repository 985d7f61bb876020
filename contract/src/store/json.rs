//! Replies and errors of a store as JSON.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Cause, StoreError, StoreOp, StoreReply};
use crate::decimal;

/// A result in JSON.
#[derive(Serialize, Deserialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
enum Outcome<T, E> {
    Ok(T),
    Err(E),
}

impl<T, E> From<Result<T, E>> for Outcome<T, E> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Ok(value),
            Err(error) => Self::Err(error),
        }
    }
}

impl<T, E> From<Outcome<T, E>> for Result<T, E> {
    fn from(outcome: Outcome<T, E>) -> Self {
        match outcome {
            Outcome::Ok(value) => Ok(value),
            Outcome::Err(error) => Err(error),
        }
    }
}

/// A version as a decimal text.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Version(#[serde(with = "decimal")] u64);

/// The results of a reply with many, in JSON.
struct Each<'a, T>(&'a [Result<T, StoreError>]);

impl<T: Serialize> Serialize for Each<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|result| Outcome::from(result.as_ref())))
    }
}

impl Serialize for StoreReply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn write<T: Serialize, S: Serializer>(
            reply: Result<T, &StoreError>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            Outcome::from(reply).serialize(serializer)
        }
        match self {
            Self::Entry(reply) => write(reply.as_ref(), serializer),
            Self::Entries(reply) => write(reply.as_ref().map(|each| Each(each)), serializer),
            Self::Version(reply) => write(reply.as_ref().map(|version| Version(*version)), serializer),
            Self::Done(reply) => write(reply.as_ref(), serializer),
            Self::WasThere(reply) => write(reply.as_ref(), serializer),
            Self::Count(reply) => write(reply.as_ref(), serializer),
            Self::Page(reply) => write(reply.as_ref(), serializer),
        }
    }
}

impl StoreOp {
    /// Parses the reply to this operation from the JSON that [`StoreReply`] serialises to.
    ///
    /// # Errors
    /// If the text is not a reply to this operation.
    pub fn read_reply(&self, json: &str) -> Result<StoreReply, serde_json::Error> {
        fn read<T: DeserializeOwned>(json: &str) -> Result<Result<T, StoreError>, serde_json::Error> {
            serde_json::from_str::<Outcome<T, StoreError>>(json).map(Result::from)
        }
        Ok(match self {
            Self::Get { .. } => StoreReply::Entry(read(json)?),
            Self::GetMany { .. } => {
                let each = read::<Vec<Outcome<_, _>>>(json)?;
                StoreReply::Entries(each.map(|each| each.into_iter().map(Result::from).collect()))
            }
            Self::Insert { .. } | Self::Replace { .. } => {
                StoreReply::Version(read(json)?.map(|Version(version)| version))
            }
            Self::Touch { .. } => StoreReply::Done(read(json)?),
            Self::Delete { .. } => StoreReply::WasThere(read(json)?),
            Self::DeleteMany { .. } => StoreReply::Count(read(json)?),
            Self::ListOwned { .. } => StoreReply::Page(read(json)?.map(Arc::new)),
        })
    }
}

/// An error in JSON: the case and its payload.
#[derive(Serialize, Deserialize)]
struct Case {
    tag: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    val: Option<String>,
}

impl Serialize for StoreError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (tag, val) = match self {
            Self::Missing => ("missing", None),
            Self::Stale => ("stale", None),
            Self::TooLarge => ("too-large", None),
            Self::Full => ("full", None),
            Self::Throttled(pause) => ("throttled", Some(crate::millis(*pause).to_string())),
            Self::Unsupported => ("unsupported", None),
            Self::MalformedCursor => ("malformed-cursor", None),
            Self::Corrupt => ("corrupt", None),
            Self::OutcomeUnknown(_) => ("outcome-unknown", None),
            Self::Unavailable(cause) => ("unavailable", Some(cause.to_string())),
            Self::Other(cause) => ("other", Some(cause.to_string())),
        };
        let tag = tag.to_owned();
        Case { tag, val }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StoreError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Case { tag, val } = Case::deserialize(deserializer)?;
        let val = val.unwrap_or_default();
        Ok(match tag.as_str() {
            "missing" => Self::Missing,
            "stale" => Self::Stale,
            "too-large" => Self::TooLarge,
            "full" => Self::Full,
            "throttled" => {
                let pause = val
                    .parse()
                    .map_err(|_| serde::de::Error::custom("the retry delay is not an integer"))?;
                Self::Throttled(Duration::from_millis(pause))
            }
            "unsupported" => Self::Unsupported,
            "malformed-cursor" => Self::MalformedCursor,
            "corrupt" => Self::Corrupt,
            "outcome-unknown" => Self::OutcomeUnknown(Cause::new("the reply to a write was lost elsewhere")),
            "unavailable" => Self::Unavailable(Cause::new(val)),
            "other" => Self::Other(Cause::new(val)),
            _ => return Err(serde::de::Error::custom("unknown store error")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::store::{Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Row};

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn entry() -> Entry {
        Entry {
            value: "a \"text\"".into(),
            version: u64::MAX,
            guard: (1 << 53) + 1,
            expires_at: at(7),
        }
    }

    fn placement(guard: Option<u64>) -> Placement {
        Placement {
            owner: Some("o".into()),
            previous_owner: None,
            guard,
            expires_at: at(8),
            ends_at: at(u64::MAX),
        }
    }

    fn operations() -> Vec<(StoreOp, &'static str)> {
        let (key, value) = (|| "k".to_owned(), || "v".to_owned());
        vec![
            (
                StoreOp::Get {
                    key: "k".into(),
                    fresh: true,
                },
                r#"{"operation":"get","key":"k","fresh":true}"#,
            ),
            (
                StoreOp::GetMany { keys: vec![key()] },
                r#"{"operation":"get-many","keys":["k"]}"#,
            ),
            (
                StoreOp::Insert {
                    key: key(),
                    value: value(),
                    at: placement(None),
                },
                r#"{"operation":"insert","key":"k","value":"v","at":{"owner":"o","previousOwner":null,"guard":null,"expiresAt":"8","endsAt":"18446744073709551615"}}"#,
            ),
            (
                StoreOp::Replace {
                    key: key(),
                    value: value(),
                    expected: Expected::Version(u64::MAX),
                    at: placement(Some(u64::MAX - 1)),
                },
                r#"{"operation":"replace","key":"k","value":"v","expected":{"tag":"version","val":"18446744073709551615"},"at":{"owner":"o","previousOwner":null,"guard":"18446744073709551614","expiresAt":"8","endsAt":"18446744073709551615"}}"#,
            ),
            (
                StoreOp::Touch {
                    key: key(),
                    owner: None,
                    expires_at: at(9),
                },
                r#"{"operation":"touch","key":"k","owner":null,"expiresAt":"9"}"#,
            ),
            (
                StoreOp::Delete {
                    key: key(),
                    condition: Condition::Guard(3),
                },
                r#"{"operation":"delete","key":"k","while":{"tag":"guard","val":"3"}}"#,
            ),
            (
                StoreOp::DeleteMany {
                    deletions: vec![Deletion {
                        key: key(),
                        guard: Some(4),
                    }],
                    owner: "o".into(),
                },
                r#"{"operation":"delete-many","deletions":[{"key":"k","guard":"4"}],"owner":"o"}"#,
            ),
            (
                StoreOp::ListOwned {
                    owner: "o".into(),
                    cursor: String::new(),
                    limit: 100,
                },
                r#"{"operation":"list-owned","owner":"o","cursor":"","limit":100}"#,
            ),
        ]
    }

    #[test]
    fn an_operation_is_read_as_it_was_written() {
        for (op, json) in operations() {
            assert_eq!(serde_json::to_string(&op).unwrap(), json);
            assert_eq!(serde_json::from_str::<StoreOp>(json).unwrap(), op);
        }
        // JavaScript omits members without a value, and writes small numbers as JSON numbers.
        let sparse = r#"{"operation":"insert","key":"k","value":"v","at":{"owner":"o","expiresAt":8,"endsAt":"18446744073709551615"}}"#;
        assert_eq!(
            serde_json::from_str::<StoreOp>(sparse).unwrap(),
            operations()[2].0
        );
        for unfit in [
            r#"{"operation":"drop","key":"k"}"#,
            r#"{"operation":"get","fresh":true}"#,
            r#"{"operation":"touch","key":"k","expiresAt":"-1"}"#,
            r#"{"operation":"touch","key":"k","expiresAt":1.5}"#,
            r#"{"operation":"delete","key":"k"}"#,
        ] {
            assert!(serde_json::from_str::<StoreOp>(unfit).is_err(), "{unfit}");
        }
    }

    fn errors() -> Vec<(StoreError, &'static str)> {
        vec![
            (StoreError::Missing, r#"{"tag":"missing"}"#),
            (StoreError::Stale, r#"{"tag":"stale"}"#),
            (StoreError::TooLarge, r#"{"tag":"too-large"}"#),
            (StoreError::Full, r#"{"tag":"full"}"#),
            (
                StoreError::Throttled(Duration::from_millis(250)),
                r#"{"tag":"throttled","val":"250"}"#,
            ),
            (StoreError::Unsupported, r#"{"tag":"unsupported"}"#),
            (StoreError::MalformedCursor, r#"{"tag":"malformed-cursor"}"#),
            (StoreError::Corrupt, r#"{"tag":"corrupt"}"#),
            (
                StoreError::OutcomeUnknown(Cause::new("x")),
                r#"{"tag":"outcome-unknown"}"#,
            ),
            (
                StoreError::Unavailable(Cause::new("x")),
                r#"{"tag":"unavailable","val":"x"}"#,
            ),
            (StoreError::Other(Cause::new("x")), r#"{"tag":"other","val":"x"}"#),
        ]
    }

    fn row(value: Option<&str>) -> Row {
        Row {
            key: "k".into(),
            version: 1,
            guard: 2,
            touched_at: at(3),
            expires_at: at(4),
            value: value.map(Into::into),
        }
    }

    fn replies() -> Vec<(StoreReply, &'static str)> {
        let page = Page {
            rows: vec![row(Some("v")), row(None)],
            next: Some("n".into()),
        };
        vec![
            (
                StoreReply::Entry(Ok(entry())),
                r#"{"tag":"ok","val":{"value":"a \"text\"","version":"18446744073709551615","guard":"9007199254740993","expiresAt":"7"}}"#,
            ),
            (
                StoreReply::Entries(Ok([Ok(entry()), Err(StoreError::Missing)].into())),
                r#"{"tag":"ok","val":[{"tag":"ok","val":{"value":"a \"text\"","version":"18446744073709551615","guard":"9007199254740993","expiresAt":"7"}},{"tag":"err","val":{"tag":"missing"}}]}"#,
            ),
            (
                StoreReply::Version(Ok(u64::MAX)),
                r#"{"tag":"ok","val":"18446744073709551615"}"#,
            ),
            (StoreReply::Done(Ok(())), r#"{"tag":"ok","val":null}"#),
            (StoreReply::WasThere(Ok(true)), r#"{"tag":"ok","val":true}"#),
            (StoreReply::Count(Ok(3)), r#"{"tag":"ok","val":3}"#),
            (
                StoreReply::Page(Ok(Arc::new(page))),
                r#"{"tag":"ok","val":{"rows":[{"key":"k","version":"1","guard":"2","touchedAt":"3","expiresAt":"4","value":"v"},{"key":"k","version":"1","guard":"2","touchedAt":"3","expiresAt":"4"}],"next":"n"}}"#,
            ),
        ]
    }

    /// An operation to which the reply belongs.
    fn of(reply: &StoreReply) -> StoreOp {
        let operations = operations().into_iter().map(|(op, _)| op);
        let is_of = |op: &StoreOp| {
            std::mem::discriminant(&op.failed(StoreError::Stale)) == std::mem::discriminant(reply)
        };
        operations.into_iter().find(is_of).unwrap()
    }

    #[test]
    fn a_reply_is_read_as_it_was_written() {
        for (reply, json) in replies() {
            let op = of(&reply);
            assert_eq!(serde_json::to_string(&reply).unwrap(), json);
            let read = op.read_reply(json).unwrap();
            // Errors have no equality; their JSON has.
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            assert!(op.read_reply("{}").is_err() && op.read_reply(r#"{"tag":"none"}"#).is_err());
        }
    }

    #[test]
    fn an_error_is_read_as_it_was_written_whatever_was_asked() {
        for (op, _) in operations() {
            for (error, json) in errors() {
                let json = format!(r#"{{"tag":"err","val":{json}}}"#);
                assert_eq!(serde_json::to_string(&op.failed(error)).unwrap(), json);
                let read = op.read_reply(&json).unwrap();
                assert_eq!(serde_json::to_string(&read).unwrap(), json);
            }
            assert!(op.read_reply(r#"{"tag":"err","val":{"tag":"odd"}}"#).is_err());
            let throttled = r#"{"tag":"err","val":{"tag":"throttled","val":"soon"}}"#;
            assert!(op.read_reply(throttled).is_err());
        }
    }

    #[test]
    fn promises_are_read_as_they_were_written() {
        let promises = Capabilities {
            compare_and_swap: true,
            list_by_owner: false,
            acknowledged_writes_survive_failover: true,
            maximum_staleness: Duration::from_secs(60),
            index_staleness: Duration::ZERO,
            minimum_ttl: Duration::from_millis(1),
            expiry_resolution: Duration::from_millis(2),
            minimum_write_interval: Duration::from_millis(3),
            maximum_key_bytes: 4,
            maximum_owner_bytes: 5,
            maximum_value_bytes: 6,
        };
        let json = serde_json::to_string(&promises).unwrap();
        assert!(json.contains(r#""maximumStalenessMs":"60000""#), "{json}");
        assert_eq!(serde_json::from_str::<Capabilities>(&json).unwrap(), promises);
    }
}
