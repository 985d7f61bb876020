//! Requests that are well-formed HTTP and anything else: from noise to almost right.

use proptest::prelude::*;
use proptest::sample::select;

use super::content;
use crate::client::request;

/// Stands in every text that is stored, so that it is known when it is said.
pub(crate) const VALUE: &str = "hush-hush";

/// Whose right to ask is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    Nothing,
    Token,
    Cookie,
    /// The service key as `Authorization`.
    Key,
    /// The token, and the service key beside it.
    Both,
    /// The token with one character changed.
    Damaged(usize, u8),
    /// Whatever stands after `Authorization:`.
    Noise(String),
    /// Whatever, as a cookie.
    NoiseCookie(String),
}

/// One request; the token and key are filled in when it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    method: String,
    path: String,
    pub(crate) credentials: Credentials,
    content_type: Option<String>,
    /// `TOKEN` and `KEY` stand for these.
    body: Vec<u8>,
    chunked: bool,
}

impl Sent {
    pub(crate) fn request(&self, token: &str, key: &str) -> Vec<u8> {
        let bearer = |credentials: &str| format!("Bearer {credentials}");
        let mut headers: Vec<(&str, String)> = match &self.credentials {
            Credentials::Nothing => Vec::new(),
            Credentials::Token => vec![("Authorization", bearer(token))],
            Credentials::Cookie => vec![("Cookie", format!("__Host-tessera={token}"))],
            Credentials::Key => vec![("Authorization", bearer(key))],
            Credentials::Both => vec![
                ("Authorization", bearer(token)),
                ("X-Tessera-Service-Key", key.to_owned()),
            ],
            Credentials::Damaged(at, with) => {
                let mut damaged = token.as_bytes().to_vec();
                let at = at % damaged.len();
                damaged[at] = *with;
                vec![("Authorization", bearer(&String::from_utf8_lossy(&damaged)))]
            }
            Credentials::Noise(noise) => vec![("Authorization", noise.clone())],
            Credentials::NoiseCookie(noise) => vec![("Cookie", format!("tessera={noise}"))],
        };
        if let Some(content_type) = &self.content_type {
            headers.push(("Content-Type", content_type.clone()));
        }
        let body = self.body(token, key);
        if self.chunked {
            headers.push(("Transfer-Encoding", "chunked".into()));
        } else if !body.is_empty() {
            headers.push(("Content-Length", body.len().to_string()));
        }
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let path = self.path.replace("TOKEN", token).replace("KEY", key);
        let mut bytes = request(&self.method, &path, &headers, None);
        if self.chunked {
            for chunk in body.chunks(7.max(body.len() / 3)) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(body);
        }
        bytes
    }

    fn body(&self, token: &str, key: &str) -> Vec<u8> {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text.replace("TOKEN", token).replace("KEY", key).into_bytes(),
            Err(_) => self.body.clone(),
        }
    }

    /// Whether the session that is spoken of may be gone after it.
    pub(crate) fn ends_sessions(&self) -> bool {
        self.method == "DELETE"
    }
}

pub(crate) fn any_request() -> impl Strategy<Value = Sent> {
    let parts = (
        method_and_path(),
        credentials(),
        content_type(),
        content::body(),
        prop::bool::weighted(0.1),
    );
    let noise = parts.prop_map(
        |((method, path), credentials, content_type, body, chunked)| Sent {
            method,
            path,
            credentials,
            content_type,
            body,
            chunked,
        },
    );
    prop_oneof![1 => noise, 2 => almost_right()]
}

/// A route with the credentials and the kind of body that it takes, so that more than the door is tried.
fn almost_right() -> impl Strategy<Value = Sent> {
    use Credentials::{Both, Cookie, Key, Nothing, Token};
    let routes = vec![
        ("POST", "/v1/sessions", Key, vec!["subject", "fields"]),
        ("GET", "/v1/session", Token, vec![]),
        ("PATCH", "/v1/session", Token, vec!["set", "remove"]),
        ("PATCH", "/v1/session", Token, vec!["set"]),
        ("PATCH", "/v1/session", Cookie, vec!["set"]),
        ("POST", "/v1/session/rotate", Token, vec![]),
        (
            "POST",
            "/v1/session/authenticate",
            Both,
            vec!["subject", "keep", "set"],
        ),
        ("POST", "/v1/session/authenticate", Both, vec!["subject", "set"]),
        ("DELETE", "/v1/session", Token, vec![]),
        ("GET", "/v1/subjects/alice/sessions", Key, vec![]),
        ("DELETE", "/v1/subjects/alice/sessions", Key, vec![]),
        ("POST", "/v1/verify", Nothing, vec!["token", "max_age_ms"]),
    ];
    let fitting = |names: &[&'static str]| match names {
        [] => Just(Vec::new()).boxed(),
        names => {
            let last = names[names.len() - 1];
            let some = content::members(names.to_vec());
            prop_oneof![some, content::only_fields(last)]
                .prop_map(String::into_bytes)
                .boxed()
        }
    };
    let chosen = select(routes).prop_flat_map(move |(method, path, credentials, names)| {
        let body = prop_oneof![3 => fitting(&names), 1 => content::body()];
        let credentials = match credentials {
            Token => prop_oneof![9 => Just(Token), 1 => damaged()].boxed(),
            credentials => Just(credentials).boxed(),
        };
        let route = credentials.prop_map(move |credentials| (method, path, credentials));
        (route, body, prop::bool::weighted(0.1))
    });
    chosen.prop_map(|((method, path, credentials), body, chunked)| Sent {
        method: method.into(),
        path: path.into(),
        credentials,
        content_type: Some("application/json".into()),
        body,
        chunked,
    })
}

fn method_and_path() -> impl Strategy<Value = (String, String)> {
    let methods = [
        "GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "BREW", "get",
    ];
    let path = prop_oneof![
        8 => select(vec![
            "/v1/sessions", "/v1/session", "/v1/session/rotate", "/v1/session/authenticate", "/v1/verify", "/healthz",
            "/v1/subjects/alice/sessions", "/v1/subjects/alice/sessions/AAAA", "/v1/subjects/TOKEN/sessions",
            "/v1/subjects/alice/sessions/TOKEN", "/v1/subjects/alice/sessions?current=TOKEN&cursor=KEY",
            "/v1/subjects/alice/sessions?limit=KEY", "/v1/subjects/%ff/sessions", "/v1/subjects/%00/sessions",
            "/v1/subjects//sessions", "/v1/subjects/%2e%2e%2f/sessions", "/v1/session/", "//v1/session", "/v1/TOKEN",
            "/v1/sessions?KEY=TOKEN", "/V1/session", "/v1/session/../session", "/", "/v1/subjects/alice/sessions?cursor=x",
        ]).prop_map(str::to_owned),
        1 => "/v1/subjects/[a-zA-Z0-9%._~!$&'()*+,;=:@-]{0,40}/sessions(/[a-zA-Z0-9%_-]{0,30})?",
        1 => "/[a-zA-Z0-9%/._~!$&'()*+,;=:@?-]{0,60}",
        1 => (200..400_usize).prop_map(|length| format!("/v1/subjects/{}/sessions", "s".repeat(length))),
    ];
    (select(methods.to_vec()).prop_map(str::to_owned), path)
}

fn credentials() -> impl Strategy<Value = Credentials> {
    prop_oneof![
        1 => Just(Credentials::Nothing),
        4 => Just(Credentials::Token),
        1 => Just(Credentials::Cookie),
        3 => Just(Credentials::Key),
        1 => Just(Credentials::Both),
        3 => damaged(),
        1 => "(Bearer |bearer|Basic |)[ -~]{0,80}".prop_map(Credentials::Noise),
        1 => "Bearer [\\u{20}-\\u{7e}\\u{a0}-\\u{ff}]{0,40}".prop_map(Credentials::Noise),
        1 => (4000..4200_usize).prop_map(|length| Credentials::Noise(format!("Bearer {}", "x".repeat(length)))),
        1 => "[!-~]{0,40}(; ?__Host-tessera=[a-z.]{0,5})?".prop_map(Credentials::NoiseCookie),
    ]
}

fn damaged() -> impl Strategy<Value = Credentials> {
    (any::<usize>(), select(b"ABCxyz019-_.".to_vec())).prop_map(|(at, with)| Credentials::Damaged(at, with))
}

fn content_type() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        6 => Just(Some("application/json".to_owned())),
        1 => Just(Some(" Application/JSON ; charset=utf-8".to_owned())),
        1 => Just(None),
        1 => select(vec!["text/plain", "application/x-www-form-urlencoded", "application/json5", "json", ";", ""])
            .prop_map(|kind| Some(kind.to_owned())),
        1 => "[!-~]{1,30}".prop_map(Some),
    ]
}
