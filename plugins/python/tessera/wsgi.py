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

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

from ._engine import Tessera
from ._lazy import Lazy
from ._problem import problem
from ._web import RequestSession
from .cookies import Cookie
from .errors import SessionError

__all__ = ["RequestSession", "SessionMiddleware", "session_of"]

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

log = logging.getLogger("tessera")

_KEY = "tessera.session"


def session_of(environ: Environ) -> RequestSession:
    """The session of a request. Raises :class:`~tessera.errors.OutageError` if the store is out of reach."""
    lazy = environ.get(_KEY)
    if not isinstance(lazy, Lazy):
        raise RuntimeError("the application has no tessera.wsgi.SessionMiddleware")
    return lazy.open()


class SessionMiddleware:
    """Provides each request with a session, and saves it before the response leaves.

    A session error that the application does not handle is answered with its status; if a save fails, the response is replaced
    by the error. Any other exception is raised to the server, unless the client's token has changed: it is then logged, and
    answered with 500 and the cookie.
    """

    def __init__(self, app: Application, sessions: Tessera, cookie: Cookie | None = None) -> None:
        """Middleware before an application. By default the token travels in the cookie ``__Host-tessera``."""
        self.app, self.sessions, self.cookie = app, sessions, cookie or Cookie()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serves a request."""
        lazy = environ[_KEY] = Lazy(self.sessions, self.cookie, [environ.get("HTTP_COOKIE", "")])
        has_started = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            nonlocal has_started
            finished = lazy.finish(int(status[:3]))
            if finished.error is not None:
                raise finished.error
            has_started = True
            merged = lazy.merged(headers, finished)
            return start_response(status, merged) if exc_info is None else start_response(status, merged, exc_info)

        def answer(status: int, headers: list[tuple[str, str]], body: bytes) -> Iterable[bytes]:
            merged = lazy.merged(headers, lazy.finish(500))
            line = f"{status} {HTTPStatus(status).phrase}"
            if has_started:
                # It raises the exception if the headers have left already.
                start_response(line, merged, sys.exc_info())
            else:
                start_response(line, merged)
            return [body]

        try:
            body = self.app(environ, start)
            # A generator, or another iterable, may start its response only when it is iterated.
            return body if has_started else _Begun(body)
        except SessionError as error:
            return answer(*problem(error))
        except Exception:
            session = lazy.session
            if session is None or not session.has_news:
                raise
            # The client's token is that of a login or logout which has happened, and a server would answer without it.
            text = b"Internal Server Error"
            answered = answer(500, [("content-type", "text/plain"), ("content-length", str(len(text)))], text)
            log.exception("the application has raised an exception after a login, a logout or a save")
            return answered


class _Begun:
    """A body whose first part is there."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        try:
            self._rest = iter(body)
            self._first = list(islice(self._rest, 1))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        yield from self._first
        yield from self._rest

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
