//! Settings that operators and applications write, and addresses that clients send, as texts.
//!
//! The first character says what the rest is: `t` a transport, `h` a header for `/auth`, `o` an origin to trust,
//! `p` a path to return to, anything else a query with one.

#![no_main]

use http::{HeaderMap, HeaderValue, Method, header};
use libfuzzer_sys::fuzz_target;
use tessera_fuzz::plain::{Plain, run};
use tessera_http::api::{check_transports, parse_header, parse_transport};
use tessera_http::{Authorizer, CsrfLayer, own_path};

fuzz_target!(|data: &[u8]| {
    let Some(text) = tessera_fuzz::text(data) else {
        return;
    };
    let mut rest = text.chars();
    let kind = rest.next();
    let text = rest.as_str();
    match kind {
        Some('t') => transport(text),
        Some('h') => told(text),
        Some('o') => trusted(text),
        _ => returned(text),
    }
});

/// A transport that is taken reads its token, and whatever goes out by it is one header.
fn transport(text: &str) {
    let Ok(transport) = parse_transport(text) else {
        return;
    };
    let twice = [transport.clone(), transport.clone()];
    assert!(check_transports(&twice, &[]).is_err(), "one place is read once");
    assert!(check_transports(&twice[..1], &[]).is_ok());

    let plain = Plain::default();
    plain.asked().subject = Some("alice".into());
    let mut headers = HeaderMap::new();
    let (name, value) = match text.split_once(':') {
        Some(("cookie", cookie)) => {
            let name = cookie.split(';').next().unwrap_or_default();
            (header::COOKIE, format!("{name}=ts1.t"))
        }
        Some((_, name)) => (name.parse().unwrap(), "ts1.t".to_owned()),
        None => (header::AUTHORIZATION, "Bearer ts1.t".to_owned()),
    };
    headers.insert(name, HeaderValue::try_from(value).unwrap());
    let authorizer = Authorizer::new(plain.clone(), [transport], []);
    let response: http::Response<String> = run(authorizer.answer(&Method::GET, &headers));
    assert_eq!(response.status(), 200, "{text}");
    assert_eq!(plain.asked().opened.as_deref(), Some("ts1.t"));
}

fn told(text: &str) {
    if let Ok((field, header)) = parse_header(text) {
        assert!(!field.is_empty() && header.as_str().starts_with("x-"));
        let own = ["x-session-subject", "x-session-id", "x-session-token"];
        assert!(!own.contains(&header.as_str()), "{header}");
        assert!(
            !field.contains(['=', ',', ';']) && field.trim() == field,
            "{field:?}"
        );
    }
}

/// What is trusted is a scheme, a host and a port, and can be written again.
fn trusted(text: &str) {
    if CsrfLayer::<Plain>::new().trust_origin(text).is_ok() {
        let (scheme, rest) = text.split_once("://").unwrap();
        assert!(scheme.bytes().all(|byte| byte.is_ascii_graphic()) && !rest.is_empty());
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        assert!(!rest.contains(['/', '?', '#', '@', '\\', ' ']), "{text}");
    }
}

/// What a browser takes for an address of another host is no path: it strips white space and tabs, and reads `\` as `/`.
fn returned(text: &str) {
    let Some(path) = own_path(text) else {
        return;
    };
    assert_eq!(path, text);
    let as_browsers_read: String = path
        .chars()
        .filter(|character| !character.is_ascii_control())
        .map(|character| if character == '\\' { '/' } else { character })
        .collect();
    let as_browsers_read = as_browsers_read.trim();
    assert!(
        as_browsers_read.starts_with('/') && !as_browsers_read.starts_with("//"),
        "{text}"
    );
    assert!(HeaderValue::try_from(path).is_ok());
}
