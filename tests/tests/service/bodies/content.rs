//! Bodies from noise to almost right: JSON of the members that routes know, and what is done to it on the way.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::requests::VALUE;

pub(crate) fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => Just(Vec::new()),
        1 => vec(any::<u8>(), 0..200),
        10 => object().prop_map(String::into_bytes),
        2 => json(3).prop_map(String::into_bytes),
        // One byte of it changed, or the end cut off.
        2 => (object(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, at, byte)| {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        2 => (object(), any::<prop::sample::Index>()).prop_map(|(text, at)| text.as_bytes()[..at.index(text.len())].to_vec()),
        1 => (1..3000_usize).prop_map(|depth| format!(r#"{{"set":{{"a":{}"#, "[".repeat(depth)).into_bytes()),
        1 => (16_000..17_000_usize).prop_map(|length| format!(r#"{{"set":{{"a":"{}"}}}}"#, VALUE.repeat(length / 9)).into_bytes()),
    ]
}

/// An object with members that some route knows, of kinds that it may not.
fn object() -> impl Strategy<Value = String> {
    members(vec![
        "subject",
        "fields",
        "set",
        "remove",
        "keep",
        "token",
        "max_age_ms",
        "TOKEN",
        "KEY",
        "Subject",
        "",
        "\\u0073et",
        "\\ud800",
    ])
}

/// An object with members of these names.
pub(crate) fn members(names: Vec<&'static str>) -> impl Strategy<Value = String> {
    let member = (select(names), content()).prop_map(|(name, content)| format!(r#""{name}":{content}"#));
    vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// Fields to be set, and nothing beside them.
pub(crate) fn only_fields(name: &'static str) -> impl Strategy<Value = String> {
    fields().prop_map(move |fields| format!(r#"{{"{name}":{fields}}}"#))
}

fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => fields(),
        2 => Just(r#""alice""#.to_owned()),
        1 => select(vec![r#""TOKEN""#, r#""KEY""#, r#"["TOKEN"]"#, "[\"a\",\"b\"]", "\"everything\"", "5", "-1", "null"])
            .prop_map(str::to_owned),
        2 => json(2),
    ]
}

fn fields() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => "[a-d]",
        1 => "[a-z\\\\\"$]{0,4}".prop_map(|name| name.replace('\\', "\\\\").replace('"', "\\\"")),
        1 => (120..140_usize).prop_map(|length| "n".repeat(length)),
        1 => Just("\\u0000".to_owned()),
        1 => Just("$t".to_owned()),
    ];
    let field = (name, json(2)).prop_map(|(name, value)| format!(r#""{name}":{value}"#));
    vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

/// JSON, tagged values among it, and a little that is none.
fn json(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        1 => select(vec!["01", "+1", "NaN", "\"\\x\"", "tru"]).prop_map(str::to_owned),
        8 => select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1.0",
            "1e999",
            "-1e-999",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
            "1e5",
            "\"\\ud800\"",
            "\"\\u0000\"",
            "\"TOKEN\"",
            "\"KEY\"",
        ])
        .prop_map(str::to_owned),
        8 => any::<i64>().prop_map(|number| number.to_string()),
        8 => any::<f64>().prop_map(|number| format!("{number:e}")),
        8 => "[a-zäöü🦀 ]{0,10}".prop_map(|text| format!(r#""{VALUE} {text}""#)),
        8 => select(vec!["int", "bytes", "json", "date", VALUE]).prop_flat_map(|kind| {
            select(vec![
                "5",
                "\"5\"",
                "\"AP8\"",
                "\"AB\"",
                "{\"$t\":1}",
                "null",
                "\"TOKEN\"",
            ])
            .prop_map(move |content| format!(r#"{{"$t":["{kind}",{content}]}}"#))
        }),
    ];
    leaf.prop_recursive(depth, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(("[ab]|\\$t", inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!(r#""{name}":{value}"#))
                    .collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
    .boxed()
}
