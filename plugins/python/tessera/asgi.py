"""Middleware for ASGI: Starlette, FastAPI, Litestar, Quart and others.

>>> from fastapi import FastAPI
>>> from tessera import Tessera
>>> from tessera.asgi import SessionMiddleware
>>> app = FastAPI()
>>> app.add_middleware(SessionMiddleware, sessions=Tessera("redis://127.0.0.1", keys="keys.json"))  # doctest: +SKIP

``request.session`` is then a :class:`RequestSession`. It takes the place of Starlette's middleware.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ._engine import Tessera
from ._headers import merge
from ._opening import opening, tokens_of
from ._problem import problem
from ._steps import arun
from ._web import Finished, RequestSession
from .cookies import Cookie
from .errors import SessionError

__all__ = ["RequestSession", "SessionMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

#: The messages that begin a response.
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
#: A server that can answer the handshake of a WebSocket with a response.
_REFUSALS = "websocket.http.response"


class SessionMiddleware:
    """Opens the session of each request, and saves it before the response leaves.

    The session is ``scope["session"]``. A store that is out of reach gives 503, and never a session that is not logged in. A
    session error that the application does not handle is answered with its status; if a save fails, the response is replaced by
    the error.
    """

    def __init__(self, app: Application, sessions: Tessera, cookie: Cookie | None = None) -> None:
        """Middleware before an application. By default the token travels in the cookie ``__Host-tessera``."""
        self.app, self.sessions, self.cookie = app, sessions, cookie or Cookie()
        self._name = self.cookie.name.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request or a WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        lines = [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name == b"cookie" and self._name in value
        ]
        try:
            opened = await arun(opening(self.sessions, tokens_of(lines, self.cookie.name) if lines else []))
        except SessionError as error:
            await _refuse(error, scope, receive, send)
            return
        scope["session"] = session = RequestSession(self.sessions, opened)
        response = _Response(session, self.cookie, scope, send)
        try:
            await self.app(scope, receive, response.send)
        except SessionError as error:
            if scope["type"] != "http" or response.has_started:
                raise
            await response.answer(*problem(error))
        except Exception:
            if scope["type"] == "http" and not response.has_started and session.has_news:
                # The client's token is that of a login or logout which has happened.
                text = b"Internal Server Error"
                await response.answer(500, [("content-type", "text/plain"), ("content-length", str(len(text)))], text)
            raise


class _Response:
    """The response to a request, before which its session is saved."""

    def __init__(self, session: RequestSession, cookie: Cookie, scope: Scope, send: Send) -> None:
        self._session, self._cookie, self._scope, self._send = session, cookie, scope, send
        self.has_started = self._is_replaced = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in _STARTS:
            self.has_started = True
            finished = await self._finish(message.get("status", 101))
            if finished.error is not None:
                if kind != "http.response.start":
                    raise finished.error
                # The response would report changes that are not stored.
                self._is_replaced = True
                status, headers, body = problem(finished.error)
                await self._start(status, headers, finished)
                await self._send({"type": "http.response.body", "body": body})
                return
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            message["headers"] = _encoded(merge(headers, finished.headers, self._session.accessed))
        elif kind == "websocket.close" and not self.has_started:
            self.has_started = True
            finished = await self._finish(403)
            if finished.headers and _can_refuse(self._scope):
                await _refuse_handshake(403, finished.headers, b"", self._send)
                return
        elif self._is_replaced and kind.startswith("http.response."):
            return
        await self._send(message)

    async def answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Answers in place of the application."""
        await self.send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
        await self.send({"type": "http.response.body", "body": body})

    async def _finish(self, status: int) -> Finished:
        finished: Finished = await arun(self._session.finishing(status, self._cookie))
        return finished

    async def _start(self, status: int, headers: Iterable[tuple[str, str]], finished: Finished) -> None:
        merged = _encoded(merge(headers, finished.headers, self._session.accessed))
        await self._send({"type": "http.response.start", "status": status, "headers": merged})


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _can_refuse(scope: Scope) -> bool:
    return _REFUSALS in (scope.get("extensions") or {})


async def _refuse_handshake(status: int, headers: Iterable[tuple[str, str]], body: bytes, send: Send) -> None:
    await send({"type": f"{_REFUSALS}.start", "status": status, "headers": _encoded(headers)})
    await send({"type": f"{_REFUSALS}.body", "body": body})


async def _refuse(error: SessionError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request whose session could not be opened."""
    status, headers, body = problem(error)
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": body})
        return
    await receive()
    if _can_refuse(scope):
        await _refuse_handshake(status, headers, body, send)
        return
    # A close before the handshake would be 403. 1013 is "try again later" (the registry of RFC 6455).
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1013, "reason": error.kind})
