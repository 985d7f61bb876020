//! An engine with one session in it: what every forged token is a forgery of.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tessera::store::MemoryStore;
use tessera::{Clock, Session, SessionError, Sessions, SessionsBuilder, Timestamp, TokenFormat};

use super::independent::{base64url, jws, subkey};

/// 2026-01-01T00:00:00Z, at which the clock stands.
pub(crate) const NOW_S: u64 = 1_767_225_600;
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "orders";
pub(crate) const KEY_ID: &str = "test";
pub(crate) const SECRET: [u8; 32] = [7; 32];
/// The header that the engine makes.
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test"}"#;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW_S * 1000)
    }
}

/// An engine of one instance, without keys.
pub(crate) fn builder(format: TokenFormat) -> SessionsBuilder {
    Sessions::builder().clock(Stopped).instances(1).policy(|policy| {
        policy.token_format = format;
        policy.issuer = ISSUER.into();
        policy.audience = AUDIENCE.into();
    })
}

/// The answer of a future that does not wait: the store in memory answers at once.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// The fault, the error, or `accepted`.
fn outcome<T>(answer: Result<T, SessionError>) -> String {
    match answer {
        Ok(_) => "accepted".to_owned(),
        Err(SessionError::InvalidToken(fault)) => format!("{fault:?}"),
        Err(other) => format!("{other:?}"),
    }
}

/// What becomes of a token: `verify` and `open` must agree.
pub(crate) fn judge(sessions: &Sessions, token: &str) -> String {
    let verified = outcome(sessions.verify(token, None));
    let opened = outcome(at_once(sessions.open(token)));
    if verified == opened {
        verified
    } else {
        format!("{verified} by verify, {opened} by open")
    }
}

/// A session of the subject `alice`, and the token that the engine made for it.
pub(crate) struct Login {
    pub(crate) sessions: Sessions,
    pub(crate) token: String,
    pub(crate) session: Session,
    secret: Vec<u8>,
}

impl Login {
    pub(crate) fn new(format: TokenFormat) -> Self {
        Self::under(format, &SECRET)
    }

    pub(crate) fn under(format: TokenFormat, secret: &[u8]) -> Self {
        let sessions = builder(format)
            .signing_key(KEY_ID, secret)
            .build(MemoryStore::new())
            .unwrap();
        let session = sessions.create();
        let grant = at_once(session.authenticate("alice")).unwrap();
        Self {
            token: grant.token.expect("a login hands out a token"),
            sessions,
            session,
            secret: secret.into(),
        }
    }

    /// The subkey for a purpose, derived by code that is not the engine's.
    pub(crate) fn key(&self, purpose: &str) -> Vec<u8> {
        subkey(&self.secret, purpose, ISSUER, AUDIENCE)
    }

    pub(crate) fn judge(&self, token: &str) -> String {
        judge(&self.sessions, token)
    }

    /// One part of the engine's token, between dots.
    pub(crate) fn segment(&self, number: usize) -> &str {
        self.token.split('.').nth(number).unwrap()
    }

    /// The bytes of one part.
    pub(crate) fn bytes(&self, segment: usize) -> Vec<u8> {
        let bytes = URL_SAFE_NO_PAD.decode(self.segment(segment)).unwrap();
        assert_eq!(base64url(&bytes), self.segment(segment));
        bytes
    }

    /// The claims of a JWT, in order: each name and the JSON text after it.
    pub(crate) fn claims(&self) -> Vec<(String, String)> {
        let payload = String::from_utf8(self.bytes(1)).unwrap();
        let values: serde_json::Value = serde_json::from_str(&payload).unwrap();
        let names = ["iss", "aud", "sub", "sid", "gen", "iat", "exp", "data"];
        let claims: Vec<_> = names
            .iter()
            .map(|name| ((*name).to_owned(), values[name].to_string()))
            .collect();
        assert_eq!(render(&claims), payload, "the claims are others than they were");
        claims
    }

    /// The claims as JSON, one of them with another text, or left out.
    pub(crate) fn payload_with(&self, name: &str, text: Option<&str>) -> String {
        let mut claims = self.claims();
        let place = claims.iter().position(|claim| claim.0 == name);
        match (place, text) {
            (Some(place), Some(text)) => claims[place].1 = text.to_owned(),
            (None, Some(text)) => claims.push((name.to_owned(), text.to_owned())),
            (Some(place), None) => drop(claims.remove(place)),
            (None, None) => panic!("there is no {name} to leave out"),
        }
        render(&claims)
    }

    /// The claims as JSON.
    pub(crate) fn payload(&self) -> String {
        render(&self.claims())
    }

    /// A JWT of this session, made and rightly signed by code that is not the engine's.
    pub(crate) fn jws(&self, header: &str, payload: &str) -> String {
        jws(header, payload, &self.key("jwt"))
    }
}

fn render(claims: &[(String, String)]) -> String {
    let members: Vec<_> = claims
        .iter()
        .map(|(name, text)| format!("\"{name}\":{text}"))
        .collect();
    format!("{{{}}}", members.join(","))
}
