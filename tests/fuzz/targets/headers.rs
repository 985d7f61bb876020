//! Headers of a request, and what is told of a session in headers of the answer.
//!
//! Each line of an input is a header: `c` a cookie line, `a` an `Authorization`, `x` an `X-Token`; `s` is the session's
//! subject, `f` its field. What follows the letter is the value.

#![no_main]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use tessera_fuzz::plain::{Plain, run};
use tessera_http::{Authorizer, TokenTransport, Cookie, ID_HEADER, MAXIMUM_VALUE_BYTES, SUBJECT_HEADER};

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
    let transports = [
        TokenTransport::Bearer,
        TokenTransport::Cookie(Cookie::default()),
        TokenTransport::Cookie(second),
        TokenTransport::Header(TOKEN),
    ];
    let authorizer = Authorizer::new(plain.clone(), transports, [("field".to_owned(), FIELD)]);
    let response: http::Response<String> = run(authorizer.answer(&http::Method::GET, &headers));
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
            assert_eq!(told(&ID_HEADER), Some(&b"public_id"[..]));
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

/// Of each transport: whether it brings a token of our form, and the text that is opened for it.
type Brought = Option<(bool, Option<String>)>;

/// The token of the first transport that brings one of ours; where none does, of the first that brings anything.
fn expected(headers: &HeaderMap) -> Option<String> {
    let bearer = |value: &str| {
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        (scheme.to_lowercase() == "bearer").then(|| rest.trim_ascii().to_owned())
    };
    let header = |name: HeaderName, credentials: &dyn Fn(&str) -> Option<String>| -> Brought {
        let values: Vec<Option<String>> = headers
            .get_all(&name)
            .iter()
            .filter_map(|value| match value.to_str() {
                Ok(text) => credentials(text).map(Some),
                Err(_) => Some(None),
            })
            .collect();
        let is_once = headers.get_all(&name).iter().count() == 1;
        match values.iter().flatten().find(|text| is_ours(text)) {
            Some(ours) => Some((true, is_once.then(|| ours.clone()))),
            None => values.last().map(|text| (false, text.clone())),
        }
    };
    let cookie = |name: &str| -> Brought {
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
                    values.push(value.is_ascii().then(|| value.to_owned()));
                }
            }
        }
        let ours: BTreeSet<&String> = values.iter().flatten().filter(|text| is_ours(text)).collect();
        match ours.len() {
            0 => values.last().map(|text| (false, text.clone())),
            1 => Some((true, ours.first().map(|text| (*text).clone()))),
            // Of several, the one that opens.
            2..=4 => Some((
                true,
                ours.iter()
                    .find(|text| **text == "ts1.t")
                    .map(|text| (*text).clone()),
            )),
            _ => Some((true, None)),
        }
    };
    let all = [
        header(header::AUTHORIZATION, &bearer),
        cookie("__Host-tessera"),
        cookie("second"),
        header(TOKEN, &|value: &str| Some(value.to_owned())),
    ];
    let all: Vec<(bool, Option<String>)> = all.into_iter().flatten().collect();
    let counts = all.iter().find(|(ours, _)| *ours).or(all.first())?;
    counts.1.clone().filter(|token| !token.is_empty())
}

/// `ts1.`, or a JWT whose header has our type.
fn is_ours(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Header {
        typ: String,
    }
    let mut start = text.chars();
    let is_compact = start.next() == Some('t')
        && start.next() == Some('s')
        && start.next().is_some_and(|digit| digit.is_ascii_digit())
        && start.next() == Some('.');
    let is_jwt = text.split_once('.').is_some_and(|(header, _)| {
        let header = URL_SAFE_NO_PAD
            .decode(header)
            .ok()
            .filter(|_| header.len() <= 341);
        let header = header.and_then(|header| serde_json::from_slice::<Header>(&header).ok());
        header.is_some_and(|header| header.typ == "tessera+jwt")
    });
    is_compact || is_jwt
}
