//! Bodies of `/v1`: what is accepted is one JSON object as serde_json reads it, and reaches the engine as it was sent.
//!
//! The first character of an input says whose body the rest is: `c` of `POST /v1/sessions`, `a` of
//! `POST /v1/session/authenticate`, `v` of `POST /v1/verify`; any other is part of one of `PATCH /v1/session`.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tessera_fuzz::naive;
use tessera_fuzz::plain::{Plain, run, same};
use tessera_http::api::{Api, ServiceKey, read_field, write_field};
use tessera_http::{Change, Value};
use tower_service::Service as _;

fuzz_target!(|data: &[u8]| match data.split_first() {
    Some((b'c', body)) => other("/v1/sessions", body),
    Some((b'a', body)) => other("/v1/session/authenticate", body),
    Some((b'v', body)) => other("/v1/verify", body),
    _ => patch(data),
});

const KEY: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

/// Whatever it is, it is answered; and what is no object with different names is refused.
fn other(path: &str, body: &[u8]) {
    let plain = Plain::default();
    let api = Arc::new(Api::new(
        plain.clone(),
        ServiceKey::new(KEY).unwrap(),
        Vec::new(),
        drop,
    ));
    let request = http::Request::post(path)
        .header("authorization", "Bearer ts1.t")
        .header("x-tessera-service-key", KEY)
        .header("content-type", "application/json")
        .body(axum_core::body::Body::from(body.to_vec()))
        .unwrap();
    let response = run(api.router(Default::default()).call(request)).unwrap();
    let status = response.status().as_u16();
    let answer = run(response.into_body().collect()).unwrap().to_bytes();
    let answer: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&answer).unwrap();
    let is_object = std::str::from_utf8(body).ok().and_then(unique).is_some() || body.is_empty();
    match status {
        200 | 201 => assert!(is_object),
        // More names than a session has fields, a longer one, or a body that is longer than any of its route.
        413 => assert!(body.len() > 128 && plain.asked().changes.is_empty()),
        // The engine here knows one token.
        401 => assert!(is_object && path == "/v1/verify"),
        400 | 422 => assert!(answer.contains_key("code") && plain.asked().changes.is_empty()),
        status => panic!("{status}"),
    }
}

fn patch(data: &[u8]) {
    let plain = Plain::default();
    let key = ServiceKey::new(KEY).unwrap();
    let api = Arc::new(Api::new(plain.clone(), key, Vec::new(), drop));
    let mut router = api.router(Default::default());
    let request = http::Request::patch("/v1/session")
        .header("authorization", "Bearer ts1.t")
        .header("content-type", "application/json")
        .body(axum_core::body::Body::from(data.to_vec()))
        .unwrap();
    let response = run(router.call(request)).unwrap();
    let status = response.status().as_u16();
    let body = run(response.into_body().collect()).unwrap().to_bytes();
    let answer: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&body).unwrap();
    match (status, expected(data)) {
        (200, Some(expected)) => {
            let changes = plain.asked().changes.clone();
            assert_eq!(changes.len(), expected.len());
            for ((name, value), (wanted, text)) in changes.iter().zip(&expected) {
                assert_eq!(name, wanted);
                is_as_sent(value.as_ref(), text.as_deref());
            }
        }
        (200, None) => panic!("accepted"),
        (400 | 422, None) => {
            assert!(answer.contains_key("code") && plain.asked().changes.is_empty());
            // Nothing that could be a token is said back.
            assert!(answer["detail"].get().len() < 400);
        }
        (422, Some(changes)) => assert!(changes.iter().any(is_unfit)),
        // More names than a session has fields, or a longer one.
        (413, _) => assert!(data.len() > 128 && plain.asked().changes.is_empty()),
        (status, _) => panic!("{status}"),
    }
}

/// The changes that a body asks for, each with the value's text; `None` if it asks for none that could be done.
fn expected(body: &[u8]) -> Option<Vec<(String, Option<String>)>> {
    if body.is_empty() {
        return Some(Vec::new());
    }
    let members = unique(std::str::from_utf8(body).ok()?)?;
    let mut changes = Vec::new();
    let member = |wanted: &str| {
        let found = members.iter().find(|(name, _)| name == wanted);
        found.map(|(_, text)| *text).filter(|text| *text != "null")
    };
    if let Some(set) = member("set") {
        for (name, text) in unique(set)? {
            changes.push((name, Some(text.to_owned())));
        }
    }
    if let Some(remove) = member("remove") {
        for name in serde_json::from_str::<Vec<String>>(remove).ok()? {
            if changes.iter().any(|(set, text)| *set == name && text.is_some()) {
                return None;
            }
            changes.push((name, None));
        }
    }
    let known = |(name, _): &(String, &str)| name == "set" || name == "remove";
    members.iter().all(known).then_some(changes)
}

fn unique(text: &str) -> Option<Vec<(String, &str)>> {
    naive::members(text).filter(|members| naive::are_unique(members))
}

/// A text that is JSON and no value: too large a number, half of a surrogate pair, a name twice, too deep, or a tag that is none.
fn is_unfit((_, text): &(String, Option<String>)) -> bool {
    let Some(text) = text else { return false };
    let Some(written) = naive::json(text) else {
        return true;
    };
    match serde_json::from_str::<serde_json::Value>(text) {
        // Deeper than this reader reads, and nothing wrong with it.
        Err(_) => false,
        Ok(serde_json::Value::Number(number)) => number.as_i64().is_none() && !text.contains(['.', 'e', 'E']),
        // One that hides behind an escape is found all the same.
        Ok(serde_json::Value::Object(object)) => object.contains_key("$t") || written.contains("\"$t\""),
        Ok(_) => false,
    }
}

/// The engine was handed what stood there, and it can be written and read again.
fn is_as_sent(value: Option<&Value>, text: Option<&str>) {
    let (Some(value), Some(text)) = (value, text) else {
        return assert!(value.is_none() && text.is_none());
    };
    let again = write_field(value);
    assert!(same(&read_field(again.get()).unwrap(), value), "{text}");
    let plain: Result<serde_json::Value, _> = serde_json::from_str(text);
    match value {
        Value::Null => assert_eq!(text, "null"),
        Value::Boolean(value) => assert_eq!(text, value.to_string()),
        Value::Text(value) => assert_eq!(plain.unwrap(), value.as_str()),
        Value::Float(value) => assert_eq!(plain.unwrap().as_f64().unwrap().to_bits(), value.to_bits()),
        // In one form, and the same in it.
        Value::Json(value) if !text.contains("$t") && !text.contains('\\') => {
            assert_eq!(serde_json::from_str::<serde_json::Value>(value).unwrap(), plain.unwrap());
        }
        // `-0`, and what stands in a tag.
        Value::Integer(_) | Value::Bytes(_) | Value::Json(_) => {}
    }
    let _: Change = (String::new(), Some(value.clone()));
}
