//! How the cookie is set, and what of it browsers would reject (RFC 6265bis; OWASP Session Management Cheat Sheet).

use std::fmt;

use http::HeaderValue;

/// A cookie's name and value together, in bytes: browsers drop what is longer (RFC 6265bis, section 5.7).
pub const MAXIMUM_COOKIE_BYTES: usize = 4096;
/// Browsers cut a longer life down to this (RFC 6265bis, section 5.5): 400 days.
const MAXIMUM_AGE_SECONDS: u64 = 400 * 24 * 3600;
const MAXIMUM_ATTRIBUTE_BYTES: usize = 1024;
/// Each costs a `Set-Cookie` header of a login and of a logout.
const MAXIMUM_FORMER_SETTINGS: usize = 8;

/// To which requests from other sites a browser adds the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// To none, links from other sites included.
    Strict,
    /// To links from other sites, and nothing else of theirs.
    #[default]
    Lax,
    /// To all. Needs `Secure`, and something against forged requests.
    None,
}

/// How long the browser keeps the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the session's absolute end, as it is when the token is handed out.
    #[default]
    AbsoluteEnd,
    /// Until the browser ends (which many put off by restoring their tabs).
    BrowserSession,
}

/// Why a cookie cannot be set so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is not a token of RFC 9110, or too long.
    #[error("a cookie's name is 1 to 1024 letters, digits and !#$%&'*+-.^_`|~")]
    Name,
    /// The path does not begin with a slash, or has a character that it cannot have.
    #[error("a cookie's path begins with `/` and has neither control characters nor `;`")]
    Path,
    /// The domain is not one.
    #[error("a cookie's domain is letters, digits, points and hyphens")]
    Domain,
    /// `__Host-` asks for `Secure`, `Path=/` and no `Domain`; browsers drop the cookie otherwise.
    #[error("a name that begins with `__Host-` needs Secure, Path=/ and no Domain, and never had others")]
    HostPrefix,
    /// `__Secure-` asks for `Secure`.
    #[error("a name that begins with `__Secure-` needs Secure")]
    SecurePrefix,
    /// `SameSite=None` asks for `Secure`.
    #[error("SameSite=None needs Secure")]
    SameSiteNone,
    /// There are more earlier settings than eight.
    #[error("a cookie has at most 8 earlier settings")]
    TooManyFormer,
    /// `Partitioned` asks for `Secure`.
    #[error("Partitioned needs Secure")]
    Partitioned,
    /// Name and value are longer than browsers keep.
    #[error("the cookie's name and value are {bytes} bytes, and browsers keep 4096")]
    TooLong {
        /// How long they are.
        bytes: usize,
    },
}

/// A session cookie: by default `__Host-tessera`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, until the absolute end.
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
    /// Whether `Secure` is left out where the client speaks plain http.
    follows_scheme: bool,
    former: Vec<Scope>,
}

/// To which requests a browser sends a cookie. Two cookies of one name with different scopes are two cookies.
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
    /// Begins with the defaults.
    pub fn builder() -> CookieBuilder {
        CookieBuilder::default()
    }

    /// A cookie for development over plain http: neither `Secure` nor `__Host-`, so that anybody on the way reads it.
    ///
    /// Browsers take `Secure` cookies from `http://localhost`, some of them, and from no other plain address.
    pub fn insecure_for_local_development() -> Self {
        tracing::warn!("session cookies are sent over plain http: for local development only");
        Self {
            name: "tessera".into(),
            secure: false,
            ..Self::default()
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same for a client that speaks plain http, and would drop a `Secure` cookie.
    pub(crate) fn over_plain_http(&self) -> Self {
        Self {
            secure: self.secure && !self.follows_scheme,
            ..self.clone()
        }
    }

    pub(crate) fn is_set_by_others(&self) -> bool {
        self.set_by_others
    }

    /// `Set-Cookie` with a token whose session ends in so many milliseconds.
    pub(crate) fn set(&self, token: &str, remaining_millis: u64) -> Result<HeaderValue, CookieError> {
        let bytes = self.name.len() + token.len();
        if bytes > MAXIMUM_COOKIE_BYTES {
            return Err(CookieError::TooLong { bytes });
        }
        // A second begun is a second less: the cookie ends with the session and not after it.
        let seconds = (remaining_millis / 1000).min(MAXIMUM_AGE_SECONDS);
        let age = (self.lifetime == Lifetime::AbsoluteEnd).then_some(seconds);
        let mut value = header(&self.write(token, age))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `Set-Cookie` that removes it, with the attributes it was set with: browsers take it for another otherwise.
    pub(crate) fn remove(&self) -> Result<HeaderValue, CookieError> {
        header(&self.write("", Some(0)))
    }

    /// `Set-Cookie` for each cookie of this name with another scope that may be there: those of earlier settings, and beside
    /// a domain's the one of the host alone. A browser would send both, and not say which is which.
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
    /// Browsers ignore a domain's leading point and its case (RFC 6265bis, section 5.6.3).
    fn is_same(&self, path: &str, domain: Option<&str>) -> bool {
        let plain = |domain: &str| domain.trim_start_matches('.').to_ascii_lowercase();
        self.path == path && self.domain.as_deref().map(plain) == domain.map(plain)
    }
}

/// What was checked at construction fits a header; a token is letters, digits and points.
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
    /// Its name. One that begins with `__Host-` cannot be planted by a sibling domain.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.cookie.name = name.into();
        self
    }

    /// The paths it is sent to.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.cookie.path = path.into();
        self
    }

    /// The domain it is sent to, with all its subdomains: each of them can then read and plant it.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.domain = Some(domain.into());
        self
    }

    /// Whether it is sent over TLS only.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.cookie.secure = secure;
        self
    }

    /// Whether scripts cannot read it.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.cookie.http_only = http_only;
        self
    }

    /// To which requests from other sites it is added.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.cookie.same_site = same_site;
        self
    }

    /// How long the browser keeps it.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.cookie.lifetime = lifetime;
        self
    }

    /// Whether each site that embeds this one has a cookie jar of its own for it (CHIPS). Needs `Secure`; a page in a frame of
    /// another site needs `SameSite=None` as well.
    #[must_use]
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.cookie.partitioned = partitioned;
        self
    }

    /// Leaves `Secure` out where a proxy says that the client speaks plain http.
    #[cfg(feature = "api")]
    pub(crate) fn follows_scheme(mut self) -> Self {
        self.cookie.follows_scheme = true;
        self
    }

    /// Names a path, and a domain if there was one, that this cookie was set with before a change of either. A login or a
    /// logout removes that cookie, because a browser would go on sending it beside the new one. May be called several times.
    ///
    /// The cookie of the host alone is removed without this where a domain is set.
    #[must_use]
    pub fn formerly(mut self, path: impl Into<String>, domain: Option<&str>) -> Self {
        self.cookie.former.push(Scope {
            path: path.into(),
            domain: domain.map(str::to_owned),
        });
        self
    }

    /// Only reads it: another application sets and removes it, with attributes that only that one knows.
    #[must_use]
    pub fn set_by_others(mut self) -> Self {
        self.cookie.set_by_others = true;
        self
    }

    /// Checks that browsers would keep it.
    ///
    /// # Errors
    /// [`CookieError`], naming what does not fit.
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
