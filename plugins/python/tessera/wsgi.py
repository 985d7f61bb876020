"""Middleware for WSGI.

>>> from tessera import Tessera
>>> from tessera.wsgi import SessionMiddleware, session_of
>>> def app(environ, start_response):
...     session = session_of(environ)
...     session["visits"] = session.get("visits", 0) + 1
...     start_response("200 OK", [("content-type", "text/plain")])
...     return [b"hello"]
>>> app = SessionMiddleware(app, Tessera("memory:", keys={"k": b"-" * 32}))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ._engine import Tessera
from ._web import RequestSession, merge, opening, problem, run, tokens_of
from .cookies import Cookie
from .errors import SessionError

__all__ = ["RequestSession", "SessionMiddleware", "session_of"]

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_KEY = "tessera.session"


class _Lazy:
    """The session of a request, opened on first use."""

    def __init__(self, sessions: Tessera, cookie: Cookie, header: str) -> None:
        self._sessions, self._cookie, self._header = sessions, cookie, header
        self.session: RequestSession | None = None

    def open(self) -> RequestSession:
        if self.session is None:
            tokens = tokens_of([self._header], self._cookie.name)
            self.session = RequestSession(self._sessions, run(opening(self._sessions, tokens)))
        return self.session


def session_of(environ: Environ) -> RequestSession:
    """The session of a request. Raises :class:`~tessera.errors.OutageError` if the store is out of reach."""
    lazy = environ.get(_KEY)
    if not isinstance(lazy, _Lazy):
        raise RuntimeError("the application has no tessera.wsgi.SessionMiddleware")
    return lazy.open()


class SessionMiddleware:
    """Provides each request with a session, and saves it before the response leaves.

    A session error that the application does not handle is answered with its status; if a save fails, the response is replaced
    by the error.
    """

    def __init__(self, app: Application, sessions: Tessera, cookie: Cookie | None = None) -> None:
        """Middleware before an application. By default the token travels in the cookie ``__Host-tessera``."""
        self.app, self.sessions, self.cookie = app, sessions, cookie or Cookie()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serves a request."""
        lazy = environ[_KEY] = _Lazy(self.sessions, self.cookie, environ.get("HTTP_COOKIE", ""))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            session = lazy.session
            if session is not None and exc_info is None:
                more = run(session.finishing(int(status[:3]), self.cookie))
                headers = merge(headers, [(_title(name), value) for name, value in more], session.accessed)
            return start_response(status, headers) if exc_info is None else start_response(status, headers, exc_info)

        try:
            return self.app(environ, start)
        except SessionError as error:
            return _answer(error, start_response)


def _title(name: str) -> str:
    return {"set-cookie": "Set-Cookie"}.get(name, name)


def _answer(error: SessionError, start_response: StartResponse) -> Iterable[bytes]:
    status, headers, body = problem(error)
    start_response(f"{status} {_reason(status)}", headers)
    return [body]


def _reason(status: int) -> str:
    from http import HTTPStatus

    return HTTPStatus(status).phrase
