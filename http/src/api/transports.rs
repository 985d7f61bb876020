//! The transports of a session's token, as configured by an operator.

use http::{HeaderName, header};

use super::auth_headers::is_taken;
use super::service_key::SERVICE_KEY_HEADER;
use crate::cookie::{Cookie, CookieBuilder, SameSite};
use crate::transport::TokenTransport;

const MAXIMUM_TRANSPORTS: usize = 8;
/// Browsers accept a cookie with this prefix only from the host itself (RFC 6265bis, section 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";
/// The cookie's name where the prefix `__Host-` is impossible, as over plain http.
const PLAIN_COOKIE: &str = "tessera";

/// The default transports: `Authorization: Bearer`, then the cookies `__Host-tessera` and `tessera`.
pub(super) fn standard() -> Vec<TokenTransport> {
    let cookies = [Ok(Cookie::default()), plain_cookie().build()];
    // Both are valid; a test of this module builds them.
    let cookies = cookies.into_iter().flatten().map(TokenTransport::Cookie);
    [TokenTransport::Bearer].into_iter().chain(cookies).collect()
}

/// The cookie of [`Cookie::insecure_for_local_development`], but `Secure` unless the client uses plain http.
fn plain_cookie() -> CookieBuilder {
    Cookie::builder().name(PLAIN_COOKIE).follows_scheme()
}

/// Parses `bearer`, `cookie:NAME` or `header:NAME`.
///
/// A cookie's name may be followed by the attributes of `Set-Cookie` with which the application sets it, as in
/// `cookie:shop;Domain=example.com;Secure`: a token that is renewed at `/auth` is sent with them.
/// Without attributes, `tessera` and names that begin with `__Host-` have Tessera's own attributes, and any other cookie is
/// only read.
///
/// # Errors
/// If the text has another form, or a name or an attribute is invalid.
pub fn parse_transport(text: &str) -> Result<TokenTransport, String> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("bearer", "") if text == "bearer" => Ok(TokenTransport::Bearer),
        ("cookie", "") => Err("the cookie's name is missing, as in cookie:shop".into()),
        ("cookie", text) => {
            let (name, attributes) = text
                .split_once(';')
                .map_or((text, None), |(name, rest)| (name, Some(rest)));
            let cookie = match attributes {
                Some(attributes) => with_attributes(name, attributes)?,
                None if name == PLAIN_COOKIE => plain_cookie(),
                None if name.starts_with(HOST_PREFIX) => Cookie::builder().name(name),
                // The attributes of any other cookie are known only to the application that sets it.
                None => Cookie::builder().name(name).set_by_others(),
            };
            let cookie = cookie.build().map_err(|error| error.to_string())?;
            Ok(TokenTransport::Cookie(cookie))
        }
        ("header", name) => {
            let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is not a header name"))?;
            if !name.as_str().starts_with("x-") || is_taken(&name) || name == SERVICE_KEY_HEADER {
                return Err(format!(
                    "`{name}` cannot carry tokens: such a header begins with X-, and is not used by the service otherwise"
                ));
            }
            Ok(TokenTransport::Header(name))
        }
        _ => Err("a transport is bearer, cookie:NAME or header:NAME".into()),
    }
}

/// A cookie that an application sets with these attributes, separated by `;`. `HttpOnly` is always set.
fn with_attributes(name: &str, attributes: &str) -> Result<CookieBuilder, String> {
    let mut cookie = Cookie::builder().name(name).secure(false);
    for attribute in attributes.split(';').map(str::trim) {
        let (attribute, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        cookie = match (attribute.to_ascii_lowercase().as_str(), value) {
            ("path", path) => cookie.path(path),
            ("domain", domain) => cookie.domain(domain),
            ("secure", "") => cookie.secure(true),
            ("httponly", "") => cookie,
            ("partitioned", "") => cookie.partitioned(true),
            ("samesite", value) => cookie.same_site(match value.to_ascii_lowercase().as_str() {
                "strict" => SameSite::Strict,
                "lax" => SameSite::Lax,
                "none" => SameSite::None,
                _ => return Err("SameSite is Strict, Lax or None".into()),
            }),
            _ => {
                return Err(format!(
                    "unsupported attribute {attribute:?}: use Path=, Domain=, SameSite=, Secure, HttpOnly or Partitioned"
                ));
            }
        };
    }
    Ok(cookie)
}

/// Refuses more than eight transports, two transports with one cookie or header, and a transport whose header carries a
/// field of `auth_headers`.
///
/// # Errors
/// A message that names the conflict.
pub fn check_transports(
    transports: &[TokenTransport],
    auth_headers: &[(String, HeaderName)],
) -> Result<(), String> {
    if transports.len() > MAXIMUM_TRANSPORTS {
        return Err(format!("at most {MAXIMUM_TRANSPORTS} transports are allowed"));
    }
    for (at, transport) in transports.iter().enumerate() {
        if transports[..at].iter().any(|other| other.meets(transport)) {
            return Err(format!("two transports use {transport}"));
        }
        let header = transport.request_header();
        if header != header::COOKIE && auth_headers.iter().any(|(_, name)| *name == header) {
            return Err(format!("{transport} is used both as a transport and for a field"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::{check_transports, parse_transport, plain_cookie, standard};

    #[test]
    fn the_standard_transports_are_those_that_an_operator_would_write() {
        let written = ["bearer", "cookie:__Host-tessera", "cookie:tessera"];
        let written: Vec<_> = written.iter().flat_map(|text| parse_transport(text)).collect();
        assert_eq!(standard(), written);
        assert_eq!(check_transports(&written, &[]), Ok(()));
    }

    #[test]
    fn a_cookie_is_handed_out_with_the_attributes_that_are_written() {
        for (text, written) in [
            ("cookie:shop", None),
            (
                "cookie:shop;Secure",
                Some("shop=t; Path=/; Secure; HttpOnly; SameSite=Lax"),
            ),
            (
                "cookie:shop; domain=example.com; path=/a; samesite=strict",
                Some("shop=t; Path=/a; Domain=example.com; HttpOnly; SameSite=Strict"),
            ),
            (
                "cookie:__Host-s;Secure;SameSite=None;Partitioned",
                Some("__Host-s=t; Path=/; Secure; HttpOnly; SameSite=None; Partitioned"),
            ),
            (
                "cookie:tessera",
                Some("tessera=t; Path=/; Secure; HttpOnly; SameSite=Lax"),
            ),
        ] {
            let mut headers = HeaderMap::new();
            parse_transport(text)
                .unwrap()
                .hand_out(&mut headers, "t", 0, false)
                .unwrap();
            let set = headers.get_all(header::SET_COOKIE).iter().next_back();
            let set = set.map(|set| set.to_str().unwrap().replace("; Max-Age=0", ""));
            assert_eq!(set.as_deref(), written, "{text}");
        }
        let plain = parse_transport("cookie:tessera").unwrap().over_plain_http();
        assert_eq!(
            plain,
            crate::TokenTransport::Cookie(plain_cookie().secure(false).build().unwrap())
        );
    }

    #[test]
    fn an_unfit_transport_is_refused() {
        for text in [
            "",
            "Bearer",
            "bearer:",
            "bearer:x",
            "cookie",
            "cookie:",
            "cookie:a b",
            "cookie:a;Domain",
            "cookie:a;Path=x",
            "cookie:a;SameSite=No",
            "cookie:a;Max-Age=5",
            "cookie:a;Partitioned",
            "cookie:a;SameSite=None",
            "cookie:__Host-a;Path=/",
            "header:",
            "header:Authorization",
            "header:Cookie",
            "header:X-Session-Subject",
            "header:X-Tessera-Service-Key",
            "query:token",
        ] {
            assert!(parse_transport(text).is_err(), "{text}");
        }
        let all = |texts: &[&str]| {
            texts
                .iter()
                .flat_map(|text| parse_transport(text))
                .collect::<Vec<_>>()
        };
        for texts in [
            &["bearer", "bearer"][..],
            &["cookie:a", "bearer", "cookie:a"],
            &["header:X-A", "header:x-a"],
        ] {
            assert!(check_transports(&all(texts), &[]).is_err(), "{texts:?}");
        }
        let many: Vec<String> = (0..9).map(|n| format!("cookie:c{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(check_transports(&all(&many), &[]).is_err());
        let auth_headers = [("role".to_owned(), http::HeaderName::from_static("x-a"))];
        assert!(check_transports(&all(&["header:X-A"]), &auth_headers).is_err());
    }
}
