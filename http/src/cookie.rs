//! The session cookie: its attributes, and checks for cookies that browsers reject (RFC 6265bis; OWASP Session Management
//! Cheat Sheet).

use std::fmt;

use http::HeaderValue;

/// Maximum length of a cookie's name and value together, in bytes. Browsers drop longer cookies (RFC 6265bis, section 5.7).
pub const MAXIMUM_COOKIE_BYTES: usize = 4096;
/// 400 days. Browsers cap a longer lifetime at this (RFC 6265bis, section 5.5).
const MAXIMUM_AGE_SECONDS: u64 = 400 * 24 * 3600;
const MAXIMUM_ATTRIBUTE_BYTES: usize = 1024;
/// Each earlier setting adds a `Set-Cookie` header to the response to a login or a logout.
const MAXIMUM_FORMER_SETTINGS: usize = 8;

/// The requests from other sites to which a browser adds the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// No request, links from other sites included.
    Strict,
    /// Links from other sites, and no other request from them.
    #[default]
    Lax,
    /// All requests. Needs `Secure`, and a defence against cross-site request forgery.
    None,
}

/// How long the browser keeps the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the session's absolute end, as of when the token is handed out.
    #[default]
    AbsoluteEnd,
    /// Until the browser session ends. Many browsers prolong it by restoring tabs.
    BrowserSession,
}

/// The reason why a cookie is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is not a token of RFC 9110, or is too long.
    #[error("a cookie's name is 1 to 1024 letters, digits and !#$%&'*+-.^_`|~")]
    Name,
    /// The path does not begin with a slash, contains an invalid character, or is too long.
    #[error("a cookie's path begins with `/` and has neither control characters nor `;`")]
    Path,
    /// The domain is invalid.
    #[error("a cookie's domain consists of letters, digits, dots and hyphens")]
    Domain,
    /// `__Host-` requires `Secure`, `Path=/` and no `Domain`; browsers drop the cookie otherwise.
    #[error(
        "a name that begins with `__Host-` requires Secure, Path=/ and no Domain, and allows no earlier settings"
    )]
    HostPrefix,
    /// `__Secure-` requires `Secure`.
    #[error("a name that begins with `__Secure-` requires Secure")]
    SecurePrefix,
    /// `SameSite=None` requires `Secure`.
    #[error("SameSite=None requires Secure")]
    SameSiteNone,
    /// There are more than eight earlier settings.
    #[error("a cookie has at most 8 earlier settings")]
    TooManyFormer,
    /// `Partitioned` requires `Secure`.
    #[error("Partitioned requires Secure")]
    Partitioned,
    /// The name and value together exceed [`MAXIMUM_COOKIE_BYTES`].
    #[error("the cookie's name and value have {bytes} bytes, and browsers keep at most 4096")]
    TooLong {
        /// Length of the name and value together, in bytes.
        bytes: usize,
    },
}

/// A session cookie: by default `__Host-tessera`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, kept until the absolute
/// end.
///
/// ```
/// use tessera_http::{Cookie, SameSite};
///
/// let cookie = Cookie::builder().name("__Host-shop").same_site(SameSite::Strict).build()?;
/// assert!(Cookie::builder().domain("example.com").build().is_err()); // `__Host-` forbids it
/// # Ok::<(), tessera_http::CookieError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    path: String,
    domain: Option<String>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    lifetime: Lifetime,
    partitioned: bool,
    set_by_others: bool,
    /// Whether `Secure` is omitted if the client uses plain http.
    follows_scheme: bool,
    former: Vec<Scope>,
}

/// The requests to which a browser adds a cookie. Cookies of one name with different scopes are distinct.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scope {
    path: String,
    domain: Option<String>,
}

impl Default for Cookie {
    fn default() -> Self {
        CookieBuilder::default().cookie
    }
}

impl Cookie {
    /// A builder with the defaults.
    pub fn builder() -> CookieBuilder {
        CookieBuilder::default()
    }

    /// A cookie for development over plain http, without `Secure` and `__Host-`: anyone on the network path can read it.
    ///
    /// Only some browsers accept `Secure` cookies from `http://localhost`, and none does from another plain-http address.
    pub fn insecure_for_local_development() -> Self {
        tracing::warn!("session cookies are sent over plain http; use this for local development only");
        Self {
            name: "tessera".into(),
            secure: false,
            ..Self::default()
        }
    }

    /// The cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cookie for a client that uses plain http and would drop a `Secure` cookie.
    pub(crate) fn over_plain_http(&self) -> Self {
        Self {
            secure: self.secure && !self.follows_scheme,
            ..self.clone()
        }
    }

    pub(crate) fn is_set_by_others(&self) -> bool {
        self.set_by_others
    }

    /// The `Set-Cookie` value for a token whose session ends in `remaining_millis` milliseconds.
    pub(crate) fn set(&self, token: &str, remaining_millis: u64) -> Result<HeaderValue, CookieError> {
        let bytes = self.name.len() + token.len();
        if bytes > MAXIMUM_COOKIE_BYTES {
            return Err(CookieError::TooLong { bytes });
        }
        // Rounded down, so that the cookie does not outlive the session.
        let seconds = (remaining_millis / 1000).min(MAXIMUM_AGE_SECONDS);
        let age = (self.lifetime == Lifetime::AbsoluteEnd).then_some(seconds);
        let mut value = header(&self.write(token, age))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The `Set-Cookie` value that removes the cookie. It repeats the attributes, by which browsers identify the cookie.
    pub(crate) fn remove(&self) -> Result<HeaderValue, CookieError> {
        header(&self.write("", Some(0)))
    }

    /// A `Set-Cookie` value to remove each cookie of this name with another scope that may exist: those of earlier
    /// settings, and the host-only cookie if a domain is set. A browser would send both cookies without distinguishing
    /// them.
    pub(crate) fn remove_twins(&self) -> impl Iterator<Item = Result<HeaderValue, CookieError>> {
        let host_only = self.domain.as_ref().map(|_| Scope {
            path: self.path.clone(),
            domain: None,
        });
        let mut twins: Vec<Scope> = Vec::new();
        for scope in host_only.iter().chain(&self.former) {
            if !scope.is_same(&self.path, self.domain.as_deref())
                && !twins
                    .iter()
                    .any(|twin| twin.is_same(&scope.path, scope.domain.as_deref()))
            {
                twins.push(scope.clone());
            }
        }
        twins.into_iter().map(|Scope { path, domain }| {
            let twin = Self {
                path,
                domain,
                ..self.clone()
            };
            twin.remove()
        })
    }

    fn write(&self, value: &str, age: Option<u64>) -> String {
        Written {
            cookie: self,
            value,
            age,
        }
        .to_string()
    }
}

impl Scope {
    /// Compares scopes as browsers do: a domain's leading dot and its case do not count (RFC 6265bis, section 5.6.3).
    fn is_same(&self, path: &str, domain: Option<&str>) -> bool {
        let plain = |domain: &str| domain.trim_start_matches('.').to_ascii_lowercase();
        self.path == path && self.domain.as_deref().map(plain) == domain.map(plain)
    }
}

/// Cannot fail: the attributes were checked by the builder, and a token consists of base64url characters and dots.
fn header(text: &str) -> Result<HeaderValue, CookieError> {
    HeaderValue::from_str(text).map_err(|_| CookieError::Name)
}

struct Written<'a> {
    cookie: &'a Cookie,
    value: &'a str,
    age: Option<u64>,
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cookie {
            name,
            path,
            domain,
            secure,
            http_only,
            same_site,
            partitioned,
            ..
        } = self.cookie;
        write!(f, "{name}={}; Path={path}", self.value)?;
        if let Some(domain) = domain {
            write!(f, "; Domain={domain}")?;
        }
        if let Some(age) = self.age {
            write!(f, "; Max-Age={age}")?;
        }
        if *secure {
            f.write_str("; Secure")?;
        }
        if *http_only {
            f.write_str("; HttpOnly")?;
        }
        f.write_str(match same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        })?;
        if *partitioned {
            f.write_str("; Partitioned")?;
        }
        Ok(())
    }
}

/// Configures a [`Cookie`].
#[derive(Clone, Debug)]
pub struct CookieBuilder {
    cookie: Cookie,
}

impl Default for CookieBuilder {
    fn default() -> Self {
        Self {
            cookie: Cookie {
                name: "__Host-tessera".into(),
                path: "/".into(),
                domain: None,
                secure: true,
                http_only: true,
                same_site: SameSite::Lax,
                lifetime: Lifetime::AbsoluteEnd,
                partitioned: false,
                set_by_others: false,
                follows_scheme: false,
                former: Vec::new(),
            },
        }
    }
}

impl CookieBuilder {
    /// Sets the name. A sibling domain cannot plant a cookie whose name begins with `__Host-`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.cookie.name = name.into();
        self
    }

    /// Sets the path below which the cookie is sent.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.cookie.path = path.into();
        self
    }

    /// Sets the domain to which, with all its subdomains, the cookie is sent. Each of them can then read and plant it.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.domain = Some(domain.into());
        self
    }

    /// Sets whether the cookie is sent over TLS only.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.cookie.secure = secure;
        self
    }

    /// Sets whether scripts are denied access to the cookie.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.cookie.http_only = http_only;
        self
    }

    /// Sets the requests from other sites to which the cookie is added.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.cookie.same_site = same_site;
        self
    }

    /// Sets how long the browser keeps the cookie.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.cookie.lifetime = lifetime;
        self
    }

    /// Sets whether each site that embeds this one has a separate cookie jar for it (CHIPS).
    /// Requires `Secure`; a page in a frame of another site needs `SameSite=None` as well.
    #[must_use]
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.cookie.partitioned = partitioned;
        self
    }

    /// Omits `Secure` if a proxy reports that the client uses plain http.
    #[cfg(feature = "api")]
    pub(crate) fn follows_scheme(mut self) -> Self {
        self.cookie.follows_scheme = true;
        self
    }

    /// Adds an earlier path and domain of this cookie, from before a change of either.
    /// A login or logout removes the earlier cookie, because a browser would keep sending it beside the new one.
    /// May be called up to eight times.
    ///
    /// If a domain is set, the host-only cookie is removed without this call.
    #[must_use]
    pub fn formerly(mut self, path: impl Into<String>, domain: Option<&str>) -> Self {
        self.cookie.former.push(Scope {
            path: path.into(),
            domain: domain.map(str::to_owned),
        });
        self
    }

    /// Only reads the cookie. Another application sets and removes it, with attributes that only that application knows.
    #[must_use]
    pub fn set_by_others(mut self) -> Self {
        self.cookie.set_by_others = true;
        self
    }

    /// Checks that browsers would keep the cookie.
    ///
    /// # Errors
    /// [`CookieError`], naming the invalid part.
    pub fn build(self) -> Result<Cookie, CookieError> {
        let cookie = self.cookie;
        let fits = |length: usize| (1..=MAXIMUM_ATTRIBUTE_BYTES).contains(&length);
        if !fits(cookie.name.len()) || !cookie.name.bytes().all(is_token_byte) {
            return Err(CookieError::Name);
        }
        if cookie.former.len() > MAXIMUM_FORMER_SETTINGS {
            return Err(CookieError::TooManyFormer);
        }
        let former = cookie.former.iter();
        let scopes = former.map(|scope| (&scope.path, &scope.domain));
        for (path, domain) in scopes.chain([(&cookie.path, &cookie.domain)]) {
            let is_path_byte = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b';';
            if !fits(path.len()) || !path.starts_with('/') || !path.bytes().all(is_path_byte) {
                return Err(CookieError::Path);
            }
            let is_domain_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
            if let Some(domain) = domain
                && !(fits(domain.len())
                    && domain.bytes().all(is_domain_byte)
                    && domain.bytes().any(|byte| byte.is_ascii_alphanumeric()))
            {
                return Err(CookieError::Domain);
            }
        }
        // Browsers compare the prefixes without regard to case (RFC 6265bis, section 5.7).
        let has_prefix = |prefix: &str| {
            cookie
                .name
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let is_host_only = cookie.path == "/" && cookie.domain.is_none() && cookie.former.is_empty();
        if has_prefix("__Host-") && !(cookie.secure && is_host_only) {
            return Err(CookieError::HostPrefix);
        }
        if has_prefix("__Secure-") && !cookie.secure {
            return Err(CookieError::SecurePrefix);
        }
        if cookie.same_site == SameSite::None && !cookie.secure {
            return Err(CookieError::SameSiteNone);
        }
        if cookie.partitioned && !cookie.secure {
            return Err(CookieError::Partitioned);
        }
        Ok(cookie)
    }
}

/// A character of a `token` (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
