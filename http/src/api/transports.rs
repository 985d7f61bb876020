//! Where a session's token may stand in a request, as an operator writes it.

use http::{HeaderName, header};

use super::credentials::SERVICE_KEY_HEADER;
use super::told::is_taken;
use crate::carrier::Carrier;
use crate::cookie::Cookie;

const MAXIMUM_TRANSPORTS: usize = 8;
/// Browsers take a cookie of this prefix from the host itself alone (RFC 6265bis, section 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";

/// Where a token is looked for unless the operator says otherwise: in `Authorization: Bearer`, then in the cookies
/// `__Host-tessera` and `tessera`.
pub(super) fn standard() -> Vec<Carrier> {
    let plain = Cookie::builder().name("tessera").set_by_others().build();
    let cookies = [Ok(Cookie::default()), plain];
    // Both are fit; a test of this module builds them.
    let cookies = cookies.into_iter().flatten().map(Carrier::Cookie);
    [Carrier::Bearer].into_iter().chain(cookies).collect()
}

/// Reads `bearer`, `cookie:NAME` or `header:NAME`.
///
/// # Errors
/// If it is none of these, or the name is unfit.
pub fn parse_transport(text: &str) -> Result<Carrier, String> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("bearer", "") => Ok(Carrier::Bearer),
        ("cookie", name) => {
            let cookie = Cookie::builder().name(name);
            // The attributes of any other are known to the application alone that sets it.
            let cookie = if name.starts_with(HOST_PREFIX) {
                cookie
            } else {
                cookie.set_by_others()
            };
            cookie
                .build()
                .map(Carrier::Cookie)
                .map_err(|error| error.to_string())
        }
        ("header", name) => {
            let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))?;
            if !name.as_str().starts_with("x-") || is_taken(&name) || name == SERVICE_KEY_HEADER {
                return Err(format!(
                    "a header for tokens begins with X-, and is none that the service uses otherwise, as `{name}` is"
                ));
            }
            Ok(Carrier::Header(name))
        }
        _ => Err("a transport is bearer, cookie:NAME or header:NAME".into()),
    }
}

/// Refuses transports of which two read one cookie or header, and a header that a field is told in as well.
///
/// # Errors
/// With what is named twice.
pub fn check_transports(transports: &[Carrier], told: &[(String, HeaderName)]) -> Result<(), String> {
    if transports.len() > MAXIMUM_TRANSPORTS {
        return Err(format!("there are at most {MAXIMUM_TRANSPORTS} transports"));
    }
    for (at, transport) in transports.iter().enumerate() {
        if transports[..at].iter().any(|other| other.meets(transport)) {
            return Err(format!("two transports use {transport}"));
        }
        let header = transport.request_header();
        if header != header::COOKIE && told.iter().any(|(_, name)| *name == header) {
            return Err(format!("{transport} is a transport, and a field is told in it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check_transports, parse_transport, standard};

    #[test]
    fn the_standard_transports_are_those_that_an_operator_would_write() {
        let written = ["bearer", "cookie:__Host-tessera", "cookie:tessera"];
        let written: Vec<_> = written.iter().flat_map(|text| parse_transport(text)).collect();
        assert_eq!(standard(), written);
        assert_eq!(check_transports(&written, &[]), Ok(()));
    }

    #[test]
    fn an_unfit_transport_is_refused() {
        for text in [
            "",
            "Bearer",
            "bearer:x",
            "cookie",
            "cookie:",
            "cookie:a b",
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
        let told = [("role".to_owned(), http::HeaderName::from_static("x-a"))];
        assert!(check_transports(&all(&["header:X-A"]), &told).is_err());
    }
}
