"""Middleware for ASGI: Starlette, FastAPI, Litestar, Quart and others.

>>> from fastapi import FastAPI
>>> from tessera import Tessera
>>> from tessera.asgi import SessionMiddleware
>>> app = FastAPI()
>>> app.add_middleware(SessionMiddleware, sessions=Tessera("redis://127.0.0.1", keys="keys.json"))  # doctest: +SKIP

``request.session`` is then a :class:`RequestSession`. It takes the place of Starlette's middleware.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ._engine import Tessera
from ._web import RequestSession, arun, merge, opening, problem, tokens_of
from .cookies import Cookie
from .errors import SessionError

__all__ = ["RequestSession", "SessionMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class SessionMiddleware:
    """Opens the session of each request, and saves it before the response leaves.

    The session is ``scope["session"]``. A store that is out of reach gives 503, and never a session that is not logged in. If a
    save fails, the response is replaced by the error.
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
        is_http = scope["type"] == "http"
        try:
            opened = await arun(opening(self.sessions, tokens_of(lines, self.cookie.name) if lines else []))
        except SessionError as error:
            await _refuse(error, is_http, receive, send)
            return
        session = RequestSession(self.sessions, opened)
        scope["session"] = session
        is_replaced = False

        async def finish(message: Message) -> None:
            nonlocal is_replaced
            kind = message["type"]
            if kind in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
                headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
                try:
                    more = await arun(session.finishing(message.get("status", 101), self.cookie))
                except SessionError as error:
                    if not is_http:
                        raise
                    is_replaced = True
                    await _send_problem(error, send)
                    return
                merged = merge(headers, more, session.accessed)
                message["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in merged]
            elif is_replaced and kind.startswith("http.response."):
                # The rest of a response that would report changes that are not stored.
                return
            await send(message)

        await self.app(scope, receive, finish)


async def _send_problem(error: SessionError, send: Send) -> None:
    status, headers, body = problem(error)
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def _refuse(error: SessionError, is_http: bool, receive: Receive, send: Send) -> None:
    if is_http:
        await _send_problem(error, send)
        return
    problem(error)
    await receive()
    # Try again later (RFC 6455, section 7.4.1, and its registry).
    await send({"type": "websocket.close", "code": 1013, "reason": error.kind})
