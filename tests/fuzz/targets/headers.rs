//! Headers of a request, and what is told of a session in headers of the answer.
//!
//! Each line of an input is a header: `c` a cookie line, `a` an `Authorization`, `x` an `X-Token`; `s` is the session's
//! subject, `f` its field. What follows the letter is the value.

#![no_main]

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use tessera_fuzz::plain::{Plain, run};
use tessera_http::{Authorizer, Carrier, Cookie, ID_HEADER, MAXIMUM_VALUE_BYTES, SUBJECT_HEADER};

const TOKEN: HeaderName = HeaderName::from_static("x-token");
const FIELD: HeaderName = HeaderName::from_static("x-field");

fuzz_target!(|data: &[u8]| {
    let plain = Plain::default();
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some((kind, value)) = line.split_first() else {
            continue;
        };
        let name = match kind {
            b'c' => header::COOKIE,
            b'a' => header::AUTHORIZATION,
            b'x' => TOKEN,
            b's' => {
                plain.asked().subject = Some(String::from_utf8_lossy(value).into_owned());
                continue;
            }
            b'f' => {
                let text = String::from_utf8_lossy(value).into_owned();
                plain.asked().fields.insert("field".into(), text.into());
                continue;
            }
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    let second = Cookie::builder().name("second").secure(true).build().unwrap();
    let carriers = [
        Carrier::Bearer,
        Carrier::Cookie(Cookie::default()),
        Carrier::Cookie(second),
        Carrier::Header(TOKEN),
    ];
    let authorizer = Authorizer::new(plain.clone(), carriers, [("field".to_owned(), FIELD)]);
    let response: http::Response<String> = run(authorizer.answer(&headers));
    let (opened, expected) = (plain.asked().opened.clone(), expected(&headers));
    assert_eq!(opened, expected);
    let asked = plain.asked();
    let told = |name: &HeaderName| response.headers().get(name).map(HeaderValue::as_bytes);
    match (response.status().as_u16(), opened, &asked.subject) {
        (200, Some(_), Some(subject)) => {
            assert_eq!(
                told(&SUBJECT_HEADER).map(decoded),
                Some(subject.as_bytes().to_vec())
            );
            let field = asked.fields.get("field").and_then(|field| field.as_str());
            // Empty where there is none.
            assert_eq!(
                told(&FIELD).map(decoded),
                Some(field.unwrap_or_default().as_bytes().to_vec())
            );
            assert_eq!(told(&ID_HEADER), Some(&b"reference"[..]));
            // Nothing that was sent makes a header of its own.
            let known = [
                "cache-control",
                "vary",
                "x-session-subject",
                "x-session-id",
                "x-field",
                "x-envoy-auth-headers-to-remove",
            ];
            assert!(
                response
                    .headers()
                    .keys()
                    .all(|name| known.contains(&name.as_str()))
            );
        }
        (401, opened, subject) => assert!(opened.is_none() || subject.is_none()),
        (500, Some(_), Some(subject)) => {
            let field = asked
                .fields
                .get("field")
                .map_or(0, |field| field.to_string().len());
            assert!(3 * subject.len().max(field) > MAXIMUM_VALUE_BYTES);
        }
        (status, ..) => panic!("{status}"),
    }
});

/// What a value was before it was percent-encoded; it stands in visible ASCII.
fn decoded(value: &[u8]) -> Vec<u8> {
    assert!(value.iter().all(u8::is_ascii_graphic));
    let mut bytes = value.iter();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [*bytes.next().unwrap(), *bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => *byte,
        });
    }
    decoded
}

/// The token of the first carrier that brings anything, if that is one.
fn expected(headers: &HeaderMap) -> Option<String> {
    let one = |name: HeaderName| -> Option<Option<String>> {
        let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        match values[..] {
            [] => None,
            [value] => Some(value.to_str().ok().map(str::to_owned)),
            _ => Some(None),
        }
    };
    let bearer = one(header::AUTHORIZATION).and_then(|value| match value {
        None => Some(None),
        Some(value) => {
            let (scheme, rest) = value.split_once(' ').unwrap_or((&value, ""));
            (scheme.to_lowercase() == "bearer").then(|| Some(rest.trim_ascii().to_owned()))
        }
    });
    let cookie = |name: &str| -> Option<Option<String>> {
        let mut values = Vec::new();
        for line in headers.get_all(header::COOKIE) {
            // Each byte as a character: another cookie beside ours may hold anything.
            let line: String = line.as_bytes().iter().copied().map(char::from).collect();
            for pair in line.split(';') {
                if let Some((other, value)) = pair
                    .trim_matches([' ', '\t', '\n', '\r', '\u{c}'])
                    .split_once('=')
                    && other == name
                {
                    values.push(value.to_owned());
                }
            }
        }
        let first = values.first()?.clone();
        let distinct: BTreeSet<String> = values.into_iter().collect();
        Some(match distinct.len() {
            1 => first.is_ascii().then_some(first),
            // Of several, the one that opens.
            2..=4 => distinct.into_iter().find(|value| value == "t"),
            _ => None,
        })
    };
    let brought = bearer
        .or_else(|| cookie("__Host-tessera"))
        .or_else(|| cookie("second"))
        .or_else(|| one(TOKEN));
    brought.flatten().filter(|token| !token.is_empty())
}
