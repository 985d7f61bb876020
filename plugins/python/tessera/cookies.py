"""The session cookie: its attributes, and checks for cookies that browsers reject (RFC 6265bis; OWASP Session Management Cheat
Sheet).

``Set-Cookie`` has the same bytes as that of ``tessera serve`` and of the middleware in Rust.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from .errors import ConfigurationError

__all__ = ["Cookie"]

#: The maximum length of a cookie's name and value together, in bytes. Browsers drop longer cookies (RFC 6265bis, section 5.7).
MAXIMUM_COOKIE_BYTES = 4096
#: 400 days. Browsers cap a longer lifetime at this (RFC 6265bis, section 5.5).
_MAXIMUM_AGE_SECONDS = 400 * 24 * 3600
_MAXIMUM_ATTRIBUTE_BYTES = 1024
_MAXIMUM_FORMER_SETTINGS = 8
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_PATH = re.compile(r"/[ -:<-~]*")
_DOMAIN = re.compile(r"[A-Za-z0-9.\-]*[A-Za-z0-9][A-Za-z0-9.\-]*")


def _fits(text: str, form: re.Pattern[str]) -> bool:
    return len(text) <= _MAXIMUM_ATTRIBUTE_BYTES and form.fullmatch(text) is not None


@dataclass(frozen=True)
class Cookie:
    """A session cookie. Raises :class:`~tessera.errors.ConfigurationError` for one that browsers would drop."""

    #: A sibling domain cannot plant a cookie whose name begins with ``__Host-``.
    name: str = "__Host-tessera"
    #: The path below which the cookie is sent.
    path: str = "/"
    #: The domain to which, with all its subdomains, the cookie is sent. Each of them can then read and plant it.
    domain: str | None = None
    #: Whether the cookie is sent over TLS only.
    secure: bool = True
    #: Whether scripts are denied access to the cookie.
    http_only: bool = True
    #: The requests from other sites to which the cookie is added.
    same_site: Literal["Strict", "Lax", "None"] = "Lax"
    #: How long the browser keeps the cookie: until the session's absolute end, or until the browser session ends.
    lifetime: Literal["absolute-end", "browser-session"] = "absolute-end"
    #: Whether each site that embeds this one has a separate cookie jar for it (CHIPS).
    partitioned: bool = False
    #: Earlier paths and domains of this cookie. A login or logout removes those cookies.
    formerly: tuple[tuple[str, str | None], ...] = ()

    def __post_init__(self) -> None:
        """Checks that browsers would keep the cookie."""
        if not _fits(self.name, _TOKEN):
            raise ConfigurationError("a cookie's name is 1 to 1024 letters, digits and !#$%&'*+-.^_`|~")
        if len(self.formerly) > _MAXIMUM_FORMER_SETTINGS:
            raise ConfigurationError("a cookie has at most 8 earlier settings")
        for path, domain in [*self.formerly, (self.path, self.domain)]:
            if not _fits(path, _PATH):
                raise ConfigurationError(
                    "a cookie's path begins with `/` and has neither control characters nor `;`"
                )
            if domain is not None and not _fits(domain, _DOMAIN):
                raise ConfigurationError("a cookie's domain consists of letters, digits, dots and hyphens")
        if self.same_site not in ("Strict", "Lax", "None"):
            raise ConfigurationError("SameSite is Strict, Lax or None")
        if self.lifetime not in ("absolute-end", "browser-session"):
            raise ConfigurationError("a cookie's lifetime is absolute-end or browser-session")
        name = self.name.lower()
        is_host_only = self.path == "/" and self.domain is None and not self.formerly
        if name.startswith("__host-") and not (self.secure and is_host_only):
            raise ConfigurationError(
                "a name that begins with `__Host-` requires Secure, Path=/ and no Domain, and allows no earlier settings"
            )
        if name.startswith("__secure-") and not self.secure:
            raise ConfigurationError("a name that begins with `__Secure-` requires Secure")
        if self.same_site == "None" and not self.secure:
            raise ConfigurationError("SameSite=None requires Secure")
        if self.partitioned and not self.secure:
            raise ConfigurationError("Partitioned requires Secure")

    @classmethod
    def insecure_for_local_development(cls) -> Cookie:
        """A cookie for development over plain http, without ``Secure`` and ``__Host-``: anyone on the network path can read it."""
        return cls(name="tessera", secure=False)

    def set(self, token: str, remaining_milliseconds: int) -> str:
        """The ``Set-Cookie`` value for a token whose session ends in this time."""
        length = len(self.name) + len(token)
        if length > MAXIMUM_COOKIE_BYTES:
            raise ConfigurationError(
                f"the cookie's name and value have {length} bytes, and browsers keep at most {MAXIMUM_COOKIE_BYTES}"
            )
        if self.lifetime == "browser-session":
            return self._written(token, None)
        # Rounded down, so that the cookie does not outlive the session.
        return self._written(token, min(max(remaining_milliseconds, 0) // 1000, _MAXIMUM_AGE_SECONDS))

    def remove(self) -> str:
        """The ``Set-Cookie`` value that removes the cookie. It repeats the attributes, by which browsers identify the cookie."""
        return self._written("", 0)

    def remove_twins(self) -> Iterator[str]:
        """``Set-Cookie`` values that remove the cookies of this name with other scopes that may exist."""
        host_only = [(self.path, None)] if self.domain is not None else []
        seen = {_scope(self.path, self.domain)}
        for path, domain in [*host_only, *self.formerly]:
            if _scope(path, domain) not in seen:
                seen.add(_scope(path, domain))
                yield replace(self, path=path, domain=domain, formerly=()).remove()

    def _written(self, value: str, age: int | None) -> str:
        parts = [f"{self.name}={value}", f"Path={self.path}"]
        if self.domain is not None:
            parts.append(f"Domain={self.domain}")
        if age is not None:
            parts.append(f"Max-Age={age}")
        if self.secure:
            parts.append("Secure")
        if self.http_only:
            parts.append("HttpOnly")
        parts.append(f"SameSite={self.same_site}")
        if self.partitioned:
            parts.append("Partitioned")
        return "; ".join(parts)


def _scope(path: str, domain: str | None) -> tuple[str, str | None]:
    """The scope as browsers compare it: a domain's leading dot and its case do not count (RFC 6265bis, section 5.6.3)."""
    return path, None if domain is None else domain.lstrip(".").lower()
