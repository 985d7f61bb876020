//! Where a browser is sent to log in, and where it returns to.

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// The parameter of the login path that says where to return to after the login.
pub const RETURN_PARAMETER: &str = "return_to";
/// A longer path is left out.
const MAXIMUM_RETURN_BYTES: usize = 2048;
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The path of this host at which to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginPath {
    /// Without fragment, and what comes between it and a further parameter.
    path: String,
    separator: char,
    fragment: String,
}

impl LoginPath {
    /// `None` for what is no path of this host, or does not fit a header.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = own_path(text)?;
        let (path, fragment) = text.find('#').map_or((text, ""), |at| text.split_at(at));
        Some(Self {
            path: path.to_owned(),
            separator: if path.contains('?') { '&' } else { '?' },
            fragment: fragment.to_owned(),
        })
    }

    /// Where a request is sent whose client is not logged in; `None` unless a browser shows the answer as a page.
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

/// Whether a browser goes to another page with this request. A script that fetches would follow a redirect, and take the page
/// there for its answer; a form that is sent again after the login would be sent without its content.
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

/// A path of this host, with a query or without, as it was written; `None` for anything that a browser could take for an
/// address of another host.
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
    // Browsers read a backslash as a slash, and leave out tabs and line ends (WHATWG URL).
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (is_path && is_plain).then_some(text)
}

/// Where to go after a login: the path in the query's parameter [`RETURN_PARAMETER`] if it is one of this host, else `/`.
///
/// Taken by the handler that shows the form, which sends it on (in the form's address), and by the one that logs in, which
/// redirects there.
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
