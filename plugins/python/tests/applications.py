"""Applications over ASGI, WSGI and Flask that have one view, their responses, and a store that can be out of reach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import flask
from own_store import DictStore

from tessera import Cookie, Tessera, asgi, stores, wsgi
from tessera.flask import TesseraSessions

COOKIE = Cookie()


class Down(DictStore):
    """A store that can be out of reach."""

    is_down = False

    def get(self, *arguments: Any) -> Any:
        if self.is_down:
            raise stores.Unavailable("down")
        return super().get(*arguments)

    def replace(self, *arguments: Any) -> Any:
        if self.is_down:
            raise stores.Unavailable("down")
        return super().replace(*arguments)


class Answer:
    """A response."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, [(name.lower(), value) for name, value in headers], body

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def token(self) -> str | None:
        for line in self.all("set-cookie"):
            cookie = SimpleCookie(line)
            for morsel in cookie.values():
                return morsel.value or None
        return None

    def json(self) -> Any:
        return json.loads(self.body)


View = Callable[[Any], Any]
Serve = Callable[..., Answer]


def call_asgi(app: Any, scope: dict[str, Any], sent: list[Any]) -> list[Any]:
    """Calls an ASGI application, and returns the messages that it has sent."""

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request" if scope["type"] == "http" else "websocket.connect"}

    asyncio.run(app(scope, receive, send))
    return sent


def answer_of(sent: list[Any]) -> Answer:
    """The response of these messages."""
    start, *rest = sent
    headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
    return Answer(start["status"], headers, b"".join(part["body"] for part in rest))


def call_wsgi(app: Any, cookies: str = "") -> Answer:
    """Calls a WSGI application, and closes the body of its response."""
    started: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        assert not started or exc_info is not None
        started[:] = [int(status[:3]), headers]

    result = app({"HTTP_COOKIE": cookies}, start_response)
    body = b"".join(result)
    close = getattr(result, "close", None)
    if close is not None:
        close()
    return Answer(started[0], started[1], body)


def over_asgi(sessions: Tessera, view: View, cookie: Cookie) -> Serve:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        status, headers, body = view(scope["session"])
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await send({"type": "http.response.body", "body": body[1:]})

    wrapped = asgi.SessionMiddleware(app, sessions, cookie)

    def serve(*cookies: str) -> Answer:
        headers = [(b"cookie", line.encode("latin-1")) for line in cookies]
        return answer_of(call_asgi(wrapped, {"type": "http", "headers": headers}, []))

    return serve


def over_wsgi(sessions: Tessera, view: View, cookie: Cookie) -> Serve:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        status, headers, body = view(wsgi.session_of(environ))
        start_response(f"{status} Status", headers)
        return [body]

    wrapped = wsgi.SessionMiddleware(app, sessions, cookie)
    return lambda *cookies: call_wsgi(wrapped, "; ".join(cookies))


def over_flask(sessions: Tessera, view: View, cookie: Cookie) -> Serve:
    app = flask.Flask("test")
    TesseraSessions(sessions, cookie).init_app(app)

    @app.get("/")
    def home() -> Any:
        status, headers, body = view(flask.session.tessera)  # type: ignore[attr-defined]
        return flask.Response(body, status=status, headers=headers)

    def serve(*cookies: str) -> Answer:
        client = app.test_client(use_cookies=False)
        response = client.get("/", headers=[("Cookie", line) for line in cookies])
        return Answer(response.status_code, list(response.headers.items()), response.data)

    return serve


def ok(body: object = None, *headers: tuple[str, str]) -> Any:
    return 200, list(headers), json.dumps(body).encode()


def cookie_of(token: str | None) -> str:
    return f"{COOKIE.name}={token}"
