//! Redirects to the login page, and back to the requested page.

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// The query parameter of the login path that holds the path to return to after the login.
pub const RETURN_PARAMETER: &str = "return_to";
/// Maximum length of a return path, in bytes. A longer one is omitted.
const MAXIMUM_RETURN_BYTES: usize = 2048;
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The path of the login page on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginPath {
    /// Without the fragment.
    path: String,
    /// Precedes a further query parameter.
    separator: char,
    fragment: String,
}

impl LoginPath {
    /// `None` if the text is not a path on this host, or does not fit a header.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = own_path(text)?;
        let (path, fragment) = text.find('#').map_or((text, ""), |at| text.split_at(at));
        Some(Self {
            path: path.to_owned(),
            separator: if path.contains('?') { '&' } else { '?' },
            fragment: fragment.to_owned(),
        })
    }

    /// The redirect for a client that is not logged in; `None` unless a browser would show the response as a page.
    pub(crate) fn redirect(&self, parts: &Parts, target: Option<&PathAndQuery>) -> Option<HeaderValue> {
        if !is_navigation(&parts.method, &parts.headers) {
            return None;
        }
        let Self {
            path,
            separator,
            fragment,
        } = self;
        let target = target.and_then(|target| own_path(target.as_str()));
        let location = target.map_or_else(
            || format!("{path}{fragment}"),
            |target| {
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair(RETURN_PARAMETER, target)
                    .finish();
                format!("{path}{separator}{query}{fragment}")
            },
        );
        HeaderValue::try_from(location).ok()
    }
}

/// Whether the request is a browser's navigation to a page.
///
/// A script would follow a redirect and take the login page for its response.
/// A form that is repeated after the login would be sent without its content.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    match headers.get(FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|accept| accept.to_str().ok())
            .flat_map(|accept| accept.split(','))
            .filter_map(|kind| kind.split(';').next())
            .any(|kind| kind.trim_ascii().eq_ignore_ascii_case("text/html")),
    }
}

/// Returns `text` if it is a path on this host, with or without a query; `None` for any text that a browser could take for
/// an address on another host.
///
/// A path has at most 2048 bytes and consists of visible ASCII.
///
/// ```
/// use tessera_http::own_path;
///
/// assert_eq!(own_path("/orders?page=2"), Some("/orders?page=2"));
/// assert_eq!(own_path("https://evil.example/"), None);
/// assert_eq!(own_path("//evil.example/"), None);
/// ```
pub fn own_path(text: &str) -> Option<&str> {
    let is_path = text.starts_with('/') && !text.starts_with("//") && text.len() <= MAXIMUM_RETURN_BYTES;
    // Browsers treat a backslash as a slash, and strip tabs and line ends (WHATWG URL).
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (is_path && is_plain).then_some(text)
}

/// The path to return to after a login: the query parameter [`RETURN_PARAMETER`] if it is a path on this host, else `/`.
///
/// The handler that shows the form extracts it and passes it on in the form's address; the handler that logs in extracts it
/// and redirects to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(pub String);

impl ReturnTo {
    fn of_query(query: &str) -> Self {
        let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == RETURN_PARAMETER);
        let path = named.as_ref().and_then(|(_, path)| own_path(path)).unwrap_or("/");
        Self(path.to_owned())
    }
}

impl<S: Sync> FromRequestParts<S> for ReturnTo {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of_query(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::{ReturnTo, own_path};

    #[test]
    fn only_a_path_of_this_host_is_returned_to() {
        for path in [
            "/",
            "/me",
            "/a/b?c=d&e=%2F%2Fx",
            "/a//b",
            "/?u=https://evil.example",
        ] {
            assert_eq!(own_path(path), Some(path));
        }
        for text in [
            "",
            "me",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " /me",
            "/a b",
            "/\r\nSet-Cookie: a=b",
            "/zo\u{eb}",
            "javascript:alert(1)",
            &format!("/{}", "x".repeat(2048)),
        ] {
            assert_eq!(own_path(text), None, "{text}");
        }
    }

    #[test]
    fn a_query_without_a_path_of_this_host_leads_home() {
        for (query, path) in [
            ("return_to=%2Fme%3Fa%3Db", "/me?a=b"),
            ("x=y&return_to=/me", "/me"),
            ("", "/"),
            ("return_to=", "/"),
            ("return_to=%2F%2Fevil.example", "/"),
            ("return_to=https%3A%2F%2Fevil.example", "/"),
            ("return_to=%2F%5Cevil.example", "/"),
            ("return_to=//evil.example&return_to=/me", "/"),
        ] {
            assert_eq!(ReturnTo::of_query(query), ReturnTo(path.into()), "{query}");
        }
    }
}
