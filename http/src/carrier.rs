//! What carries a token from the client and back: never a URL, which ends up in logs, histories and `Referer`.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use crate::candidates::MAXIMUM_CANDIDATES;
use crate::cookie::{Cookie, CookieError};
use crate::fault::Kind;

/// The response header with a new token for clients that send theirs as `Authorization: Bearer`.
pub const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-session-token");

/// One way in which a token travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A cookie, for browsers.
    Cookie(Cookie),
    /// `Authorization: Bearer` (RFC 6750), for programs; a new token comes back in [`TOKEN_HEADER`].
    Bearer,
    /// A header of this name, both ways.
    Header(HeaderName),
}

/// What a request brings.
#[derive(Debug)]
pub(crate) enum Carried {
    Nothing,
    /// A token, not checked yet.
    Token(Zeroizing<String>),
    /// Cookies of one name with different values, at least two and at most [`MAXIMUM_CANDIDATES`].
    Several(Vec<Zeroizing<String>>),
    /// Something that cannot be a token, or more cookies than are tried.
    Refused(Kind),
}

impl Carrier {
    /// What stands in this carrier.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Carried {
        match self {
            Self::Cookie(cookie) => read_cookie(headers, cookie.name()),
            Self::Header(name) => match one(headers, name) {
                Ok(None) => Carried::Nothing,
                Ok(Some(text)) => token(text),
                Err(Unfit) => Carried::Refused(Kind::TokenMalformed),
            },
            Self::Bearer => match one(headers, &header::AUTHORIZATION) {
                Ok(None) => Carried::Nothing,
                Ok(Some(text)) => match text.split_once(' ').unwrap_or((text, "")) {
                    (scheme, credentials) if scheme.eq_ignore_ascii_case("bearer") => {
                        token(credentials.trim_ascii())
                    }
                    // Somebody else's credentials.
                    _ => Carried::Nothing,
                },
                Err(Unfit) => Carried::Refused(Kind::TokenMalformed),
            },
        }
    }

    /// Whether both read or write the same cookie or header.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cookie(own), Self::Cookie(other)) => own.name() == other.name(),
            (Self::Cookie(_), _) | (_, Self::Cookie(_)) => false,
            (own, other) => {
                own.request_header() == other.request_header()
                    || own.response_header() == other.response_header()
            }
        }
    }

    /// The header that a request brings the token in.
    pub(crate) fn request_header(&self) -> HeaderName {
        match self {
            Self::Cookie(_) => header::COOKIE,
            Self::Bearer => header::AUTHORIZATION,
            Self::Header(name) => name.clone(),
        }
    }

    /// The header that a new token goes out in.
    fn response_header(&self) -> HeaderName {
        match self {
            Self::Cookie(_) => header::SET_COOKIE,
            Self::Bearer => TOKEN_HEADER,
            Self::Header(name) => name.clone(),
        }
    }

    /// Hands a token out whose session ends in so many milliseconds.
    pub(crate) fn hand_out(
        &self,
        headers: &mut HeaderMap,
        token: &str,
        remaining_millis: u64,
    ) -> Result<(), CookieError> {
        match self {
            Self::Cookie(cookie) if cookie.is_set_by_others() => return Ok(()),
            Self::Cookie(cookie) => {
                remove_twins(cookie, headers)?;
                headers.append(header::SET_COOKIE, cookie.set(token, remaining_millis)?);
            }
            Self::Bearer => insert_secret(headers, TOKEN_HEADER, token),
            Self::Header(name) => insert_secret(headers, name.clone(), token),
        }
        forbid_keeping(headers);
        Ok(())
    }

    /// Takes the token from the client. Programs drop theirs by themselves.
    pub(crate) fn take_away(&self, headers: &mut HeaderMap) -> Result<(), CookieError> {
        if let Self::Cookie(cookie) = self
            && !cookie.is_set_by_others()
        {
            remove_twins(cookie, headers)?;
            headers.append(header::SET_COOKIE, cookie.remove()?);
            forbid_keeping(headers);
        }
        Ok(())
    }
}

/// Before the cookie itself, for clients that know cookies by their name alone.
fn remove_twins(cookie: &Cookie, headers: &mut HeaderMap) -> Result<(), CookieError> {
    for removal in cookie.remove_twins() {
        headers.append(header::SET_COOKIE, removal?);
    }
    Ok(())
}

/// A response with a token is for one client alone.
fn forbid_keeping(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// As an operator reads it.
impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(cookie) => write!(f, "the cookie `{}`", cookie.name()),
            Self::Bearer => f.write_str("`Authorization: Bearer`"),
            Self::Header(name) => write!(f, "the header `{name}`"),
        }
    }
}

/// A token is letters, digits, points and hyphens, so it always fits a header.
fn insert_secret(headers: &mut HeaderMap, name: HeaderName, token: &str) {
    if let Ok(mut value) = HeaderValue::from_str(token) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// A header that stands twice, or not in ASCII.
pub(crate) struct Unfit;

/// A header that may stand once, in ASCII.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Unfit> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Unfit),
        (Some(_), Some(_)) => Err(Unfit),
    }
}

fn token(text: &str) -> Carried {
    match text {
        "" => Carried::Refused(Kind::TokenMalformed),
        text => Carried::Token(Zeroizing::new(text.to_owned())),
    }
}

/// The cookies of this name. Where there are several, they may be anybody's.
fn read_cookie(headers: &HeaderMap, name: &str) -> Carried {
    let mut found: Vec<&[u8]> = Vec::new();
    // As bytes: another cookie beside ours may hold anything.
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    for pair in pairs.map(<[u8]>::trim_ascii) {
        let value = pair
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="));
        let Some(value) = value.filter(|value| !found.contains(value)) else {
            continue;
        };
        if found.len() == MAXIMUM_CANDIDATES {
            tracing::warn!("more than {MAXIMUM_CANDIDATES} different cookies of one name: none is taken");
            return Carried::Refused(Kind::TokenAmbiguous);
        }
        found.push(value);
    }
    let text = |value: &[u8]| {
        str::from_utf8(value)
            .ok()
            .filter(|text| text.is_ascii())
            .map(str::to_owned)
    };
    match found[..] {
        [] => Carried::Nothing,
        [value] => text(value).map_or(Carried::Refused(Kind::TokenMalformed), |text| token(&text)),
        _ => {
            let tokens = found.into_iter().filter_map(text).map(Zeroizing::new);
            Carried::Several(tokens.collect())
        }
    }
}
