//! Names and values of every kind, on both sides of each limit, and what they are in a record.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tessera::Value;

/// Stands in every text that is stored, so that it is known when an error says it.
pub(crate) const MARK: &str = "Hush";

pub(crate) const NAME_BYTES: usize = 16;
pub(crate) const VALUE_BYTES: usize = 200;
pub(crate) const RECORD_BYTES: usize = 1200;
pub(crate) const FIELDS: usize = 6;

/// Floats with the text that a record has for them, and two that it has none for.
const FLOATS: [(f64, &str); 10] = [
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (0.1, "0.1"),
    (-2.5, "-2.5"),
    (1e300, "1e300"),
    (5e-324, "5e-324"),
    (f64::MAX, "1.7976931348623157e308"),
    (123_456.789, "123456.789"),
    (f64::NAN, ""),
    (f64::INFINITY, ""),
];

/// JSON with its canonical text, none if it is unfit, and whether it would be mistaken for another value.
const JSONS: [(&str, &str, bool); 16] = [
    ("[]", "[]", false),
    ("[\"Hush\", 1.50]", "[\"Hush\",1.5]", false),
    (" {\"a\":\"Hush\"} ", "{\"a\":\"Hush\"}", false),
    (
        "[1e2,-0,18446744073709551616]",
        "[100.0,0,18446744073709551616]",
        false,
    ),
    ("{\"$t\":1}", "{\"$t\":1}", true),
    ("{\"a\":1,\"\\u0024t\":2}", "{\"a\":1,\"$t\":2}", true),
    ("5", "5", true),
    ("\"\\u0048ush\"", "\"Hush\"", true),
    ("null", "null", true),
    ("", "", false),
    ("[1e400]", "", false),
    ("{\"a\":\"Hush\"", "", false),
    ("{\"a\":1,\"a\":2}", "", false),
    ("[\"Hush\\ud800\"]", "", false),
    ("Hush", "", false),
    ("[1] [2]", "", false),
];

/// A value that crosses the boundary, and what the record must hold of it: nothing if it is unfit.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) value: Value,
    pub(crate) text: Option<String>,
}

impl Given {
    /// As it comes back.
    pub(crate) fn stored(&self) -> Value {
        match &self.value {
            Value::Json(text) => {
                let known = JSONS.iter().find(|(content, ..)| content == text);
                Value::Json(
                    known
                        .map_or(text.as_str(), |(_, canonical, _)| canonical)
                        .to_owned(),
                )
            }
            other => other.clone(),
        }
    }

    /// Bytes that the host looks at before the component does.
    pub(crate) fn bytes(&self) -> usize {
        match &self.value {
            Value::Text(text) => text.len(),
            Value::Json(text) => text.trim_ascii().len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// The strings of a record: serde_json writes them as the record does, but for two control characters it has letters for.
pub(crate) fn quoted(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string");
    quoted.replace("\\b", "\\u0008").replace("\\f", "\\u000c")
}

/// A name as it stands in a record, by which fields are ordered.
pub(crate) fn escaped(name: &str) -> String {
    let quoted = quoted(name);
    quoted[1..quoted.len() - 1].to_owned()
}

fn text(content: String) -> Given {
    Given {
        text: Some(quoted(&content)),
        value: Value::Text(content),
    }
}

fn integer(number: i64) -> Given {
    let plain = number.unsigned_abs() < 1 << 53;
    Given {
        value: Value::Integer(number),
        text: Some(if plain {
            number.to_string()
        } else {
            format!(r#"{{"$t":["int","{number}"]}}"#)
        }),
    }
}

fn bytes(content: Vec<u8>) -> Given {
    use base64::Engine as _;
    let encoded = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&content);
    Given {
        value: Value::Bytes(content),
        text: Some(format!(r#"{{"$t":["bytes","{encoded}"]}}"#)),
    }
}

fn json((content, canonical, tagged): (&str, &str, bool)) -> Given {
    let text = if tagged {
        format!(r#"{{"$t":["json",{canonical}]}}"#)
    } else {
        canonical.to_owned()
    };
    Given {
        value: Value::Json(content.to_owned()),
        text: (!canonical.is_empty()).then_some(text),
    }
}

/// Arrays as deep as is allowed and one deeper.
fn deep(depth: usize) -> Given {
    let content = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    Given {
        text: (depth <= 64).then(|| content.clone()),
        value: Value::Json(content),
    }
}

pub(crate) fn any_given() -> impl Strategy<Value = Given> {
    prop_oneof![
        1 => Just(Given { value: Value::Null, text: Some("null".into()) }),
        1 => any::<bool>().prop_map(|yes| Given { value: Value::Boolean(yes), text: Some(yes.to_string()) }),
        2 => any::<i64>().prop_map(integer),
        1 => select(vec![0, (1 << 53) - 1, 1 << 53, -(1 << 53), i64::MAX, i64::MIN]).prop_map(integer),
        2 => select(FLOATS.to_vec()).prop_map(|(float, text)| Given {
            value: Value::Float(float),
            text: (!text.is_empty()).then(|| text.to_owned()),
        }),
        3 => "\\PC{0,8}|[\\x00-\\x7f]{0,8}".prop_map(|content| text(format!("{MARK}{content}"))),
        // As JSON two bytes longer than it is.
        2 => (VALUE_BYTES - 4..VALUE_BYTES + 3).prop_map(|length| text(MARK.repeat(length / 4) + &"x".repeat(length % 4))),
        1 => vec(any::<u8>(), 0..20).prop_map(|tail| bytes([MARK.as_bytes(), &tail].concat())),
        // Sixteen bytes around it, and a third longer than it is.
        1 => (VALUE_BYTES * 3 / 4 - 20..VALUE_BYTES * 3 / 4 + 4).prop_map(|length| bytes(vec![b'H'; length])),
        3 => select(JSONS.to_vec()).prop_map(json),
        1 => (63..67_usize).prop_map(deep),
        1 => Just(()).prop_map(|()| text(MARK.repeat(500))),
    ]
}

/// Few names, so that calls meet; and some that no field can have.
pub(crate) fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => "[a-e]",
        2 => select(vec!["\"", "\\", "A", "ä", "$t", "a b"]).prop_map(str::to_owned),
        1 => select(vec!["", "\u{0}", "a\n", "\u{7f}", "\u{85}"]).prop_map(str::to_owned),
        1 => (NAME_BYTES - 1..NAME_BYTES + 2).prop_map(|length| "n".repeat(length)),
        1 => Just("é".repeat(NAME_BYTES / 2)),
    ]
}
