//! Transports of a token between client and service. A URL is not one, because URLs end up in logs, histories and
//! `Referer`.

use std::fmt;
use std::sync::atomic::AtomicU64;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use crate::candidates::MAXIMUM_CANDIDATES;
use crate::cookie::{Cookie, CookieError};
use crate::error::ErrorKind;
use crate::form;
use crate::problem::warn_now_and_then;

/// The response header with a new token, for clients that send theirs as `Authorization: Bearer`.
pub const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-session-token");

/// A way in which a token travels between client and service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenTransport {
    /// A cookie, for browsers.
    Cookie(Cookie),
    /// `Authorization: Bearer` (RFC 6750), for programs. A new token is returned in [`TOKEN_HEADER`].
    Bearer,
    /// A header of this name, in requests and responses.
    Header(HeaderName),
}

/// The credentials in one transport of a request.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) credentials: Credentials,
    /// Whether the credentials clearly belong to another system. Credentials in a later transport then take precedence.
    pub(crate) is_foreign: bool,
}

/// Credentials, not verified yet.
#[derive(Debug)]
pub(crate) enum Credentials {
    Token(Zeroizing<String>),
    /// Cookies of one name with different values, at least two and at most [`MAXIMUM_CANDIDATES`].
    Several(Vec<Zeroizing<String>>),
    /// A value that cannot be a token, or more cookies than are tried.
    Refused(ErrorKind),
}

/// Selects a request's credentials, and returns them with the index of their transport: the first that have the form of a
/// Tessera token, valid or not, or else the first of any form.
pub(crate) fn brought(transports: &[TokenTransport], headers: &HeaderMap) -> Option<(usize, Brought)> {
    let mut foreign = None;
    for (at, transport) in transports.iter().enumerate() {
        match transport.read(headers) {
            None => {}
            Some(brought) if brought.is_foreign => {
                foreign.get_or_insert((at, brought));
            }
            Some(brought) => return Some((at, brought)),
        }
    }
    foreign
}

impl TokenTransport {
    /// Reads the credentials in this transport.
    fn read(&self, headers: &HeaderMap) -> Option<Brought> {
        match self {
            Self::Cookie(cookie) => read_cookie(headers, cookie.name()),
            Self::Header(name) => read_header(headers, name, whole),
            Self::Bearer => read_header(headers, &header::AUTHORIZATION, bearer),
        }
    }

    /// Whether both transports read or write the same cookie or header.
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

    /// The header in which a request carries the token.
    pub(crate) fn request_header(&self) -> HeaderName {
        match self {
            Self::Cookie(_) => header::COOKIE,
            Self::Bearer => header::AUTHORIZATION,
            Self::Header(name) => name.clone(),
        }
    }

    /// The transport for a client that uses plain http.
    pub(crate) fn over_plain_http(&self) -> Self {
        match self {
            Self::Cookie(cookie) => Self::Cookie(cookie.over_plain_http()),
            other => other.clone(),
        }
    }

    /// The header in which a response carries a new token.
    fn response_header(&self) -> HeaderName {
        match self {
            Self::Cookie(_) => header::SET_COOKIE,
            Self::Bearer => TOKEN_HEADER,
            Self::Header(name) => name.clone(),
        }
    }

    /// Adds a token to a response. The token's session ends in `remaining_millis` milliseconds.
    pub(crate) fn hand_out(
        &self,
        headers: &mut HeaderMap,
        token: &str,
        remaining_millis: u64,
        removes_twins: bool,
    ) -> Result<(), CookieError> {
        match self {
            Self::Cookie(cookie) if cookie.is_set_by_others() => return Ok(()),
            Self::Cookie(cookie) => {
                if removes_twins {
                    remove_twins(cookie, headers)?;
                }
                headers.append(header::SET_COOKIE, cookie.set(token, remaining_millis)?);
            }
            Self::Bearer => insert_secret(headers, TOKEN_HEADER, token),
            Self::Header(name) => insert_secret(headers, name.clone(), token),
        }
        forbid_keeping(headers);
        Ok(())
    }

    /// Removes the token from the client. Only a cookie can be removed; programs discard their tokens themselves.
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

/// Removes the twins before the cookie itself is set, for clients that identify cookies by name alone.
fn remove_twins(cookie: &Cookie, headers: &mut HeaderMap) -> Result<(), CookieError> {
    for removal in cookie.remove_twins() {
        headers.append(header::SET_COOKIE, removal?);
    }
    Ok(())
}

/// A response with a token is for one client alone, so no cache may store it.
fn forbid_keeping(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// The transport as shown to operators.
impl fmt::Display for TokenTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(cookie) => write!(f, "the cookie `{}`", cookie.name()),
            Self::Bearer => f.write_str("`Authorization: Bearer`"),
            Self::Header(name) => write!(f, "the header `{name}`"),
        }
    }
}

/// Always fits a header, because a token consists of base64url characters and dots.
fn insert_secret(headers: &mut HeaderMap, name: HeaderName, token: &str) {
    if let Ok(mut value) = HeaderValue::from_str(token) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// A header that occurs more than once, or is not ASCII.
pub(crate) struct Unfit;

/// Reads a header that may occur only once, in ASCII.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Unfit> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Unfit),
        (Some(_), Some(_)) => Err(Unfit),
    }
}

/// The whole value of a dedicated header is the credentials.
fn whole(value: &str) -> Option<&str> {
    Some(value)
}

/// The credentials of the scheme `Bearer`; `None` for another scheme.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, credentials) = value.split_once(' ').unwrap_or((value, ""));
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| credentials.trim_ascii())
}

impl Brought {
    fn ours(credentials: Credentials) -> Self {
        Self {
            credentials,
            is_foreign: false,
        }
    }

    /// Another system's credentials. They are refused like a bad token if the request carries no others.
    fn foreign(text: Option<&str>) -> Self {
        Self {
            credentials: match text {
                None | Some("") => Credentials::Refused(ErrorKind::TokenMalformed),
                Some(text) => Credentials::Token(Zeroizing::new(text.to_owned())),
            },
            is_foreign: true,
        }
    }
}

/// Reads the credentials in a header. A header with a Tessera token may occur only once.
fn read_header(
    headers: &HeaderMap,
    name: &HeaderName,
    credentials: fn(&str) -> Option<&str>,
) -> Option<Brought> {
    let values = headers.get_all(name);
    let (mut ours, mut foreign) = (None, None);
    for value in &values {
        match value.to_str().map(credentials) {
            Ok(None) => {}
            Ok(Some(text)) if form::is_ours(text) => ours = Some(text),
            Ok(Some(text)) => foreign = Some(Some(text)),
            Err(_) => foreign = Some(None),
        }
    }
    match ours {
        None => foreign.map(Brought::foreign),
        Some(_) if values.iter().nth(1).is_some() => {
            Some(Brought::ours(Credentials::Refused(ErrorKind::TokenMalformed)))
        }
        Some(text) => {
            let token = Zeroizing::new(text.to_owned());
            Some(Brought::ours(Credentials::Token(token)))
        }
    }
}

/// Number of requests with more cookies of one name than are tried.
static TOO_MANY: AtomicU64 = AtomicU64::new(0);

/// Reads the cookies of this name. If there are several, anyone may have set them.
fn read_cookie(headers: &HeaderMap, name: &str) -> Option<Brought> {
    let (mut ours, mut foreign): (Vec<&str>, _) = (Vec::new(), None);
    // As bytes, because another cookie in the same header may hold anything.
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    for pair in pairs.map(<[u8]>::trim_ascii) {
        let Some(value) = pair
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
        else {
            continue;
        };
        match str::from_utf8(value).ok().filter(|text| text.is_ascii()) {
            Some(text) if ours.contains(&text) => {}
            Some(text) if !form::is_ours(text) => foreign = Some(Some(text)),
            Some(_) if ours.len() == MAXIMUM_CANDIDATES => {
                warn_now_and_then(&TOO_MANY, |count| {
                    tracing::warn!(
                        "more than {MAXIMUM_CANDIDATES} different cookies of one name: none is used ({count} such requests so far)"
                    );
                });
                return Some(Brought::ours(Credentials::Refused(ErrorKind::TokenAmbiguous)));
            }
            Some(text) => ours.push(text),
            None => foreign = Some(None),
        }
    }
    let mut tokens: Vec<_> = ours
        .into_iter()
        .map(|text| Zeroizing::new(text.to_owned()))
        .collect();
    match tokens.len() {
        0 => foreign.map(Brought::foreign),
        1 => tokens.pop().map(|token| Brought::ours(Credentials::Token(token))),
        _ => Some(Brought::ours(Credentials::Several(tokens))),
    }
}
