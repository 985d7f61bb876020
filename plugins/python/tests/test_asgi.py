"""Sessions in ASGI applications, by the means of ASGI itself and in Starlette."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from applications import COOKIE, Down, answer_of, call_asgi, cookie_of
from conftest import KEYS
from own_stores import Asynchronous
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from tessera import Tessera, errors
from tessera.asgi import SessionMiddleware


def test_an_exception_after_a_login_does_not_lose_its_token(sessions: Tessera) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].aauthenticate("alice")
        raise ValueError("after the login")

    sent: list[Any] = []
    with pytest.raises(ValueError, match="after the login"):
        call_asgi(SessionMiddleware(app, sessions), {"type": "http", "headers": []}, sent)
    answer = answer_of(sent)
    assert answer.status == 500
    assert sessions.open(answer.token or "").subject == "alice"


@pytest.mark.parametrize("method", ["asave", "adestroy"])
def test_a_call_that_another_one_keeps_from_the_store_drops_no_change(method: str) -> None:
    store = Asynchronous()
    sessions = Tessera(store, keys=KEYS)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        session["a"] = 1
        await session.asave()
        session["b"] = 2
        has_begun, may_end = asyncio.Event(), asyncio.Event()

        async def wait(_: str) -> None:
            has_begun.set()
            await may_end.wait()

        store.before = wait
        # A call that is not one of the request's session, so that its end says nothing about that.
        other = asyncio.ensure_future(session._session.asave())
        await has_begun.wait()
        with pytest.raises(errors.BusyError):
            await getattr(session, method)()
        may_end.set()
        await other
        session["c"] = 3
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def read(token: str) -> Any:
        return dict((await sessions.aopen(token)).items())

    answer = answer_of(call_asgi(SessionMiddleware(app, sessions), {"type": "http", "headers": []}, []))
    assert asyncio.run(read(answer.token or "")) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
def test_an_outage_at_the_handshake_of_a_websocket_asks_the_client_to_come_back(extensions: Any) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS, remembered_sessions=0)
    token = sessions.create().save().token
    store.is_down = True

    async def app(*_: Any) -> None:
        raise AssertionError

    headers = [(b"cookie", cookie_of(token).encode())]
    scope = {"type": "websocket", "headers": headers, "extensions": extensions}
    sent = call_asgi(SessionMiddleware(app, sessions), scope, [])
    if extensions:
        assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
        assert sent[0]["status"] == 503
    else:
        assert sent == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1013, "reason": "unavailable"}]


def test_a_login_in_a_websocket_that_is_refused_is_in_its_response(sessions: Tessera) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].aauthenticate("alice")
        await send({"type": "websocket.close"})

    scope = {"type": "websocket", "headers": [], "extensions": {"websocket.http.response": {}}}
    sent = call_asgi(SessionMiddleware(app, sessions), scope, [])
    assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 403)
    assert any(name == b"set-cookie" for name, _ in sent[0]["headers"])


def starlette(sessions: Tessera) -> Any:
    async def home(request: Request) -> JSONResponse:
        request.session["cart"] = [*request.session.get("cart", []), len(request.session)]
        return JSONResponse(dict(request.session))

    async def clear(request: Request) -> JSONResponse:
        request.session.clear()
        return JSONResponse({})

    async def stream(request: Request) -> StreamingResponse:
        async def body() -> Any:
            yield b"1"
            try:
                request.session["late"] = 1
            except errors.ClosedError:
                yield b"refused"

        request.session["early"] = 1
        return StreamingResponse(body())

    async def socket(socket: WebSocket) -> None:
        socket.session["socket"] = True
        await socket.accept()
        await socket.send_json(dict(socket.session))
        await socket.close()

    routes = [Route("/", home), Route("/clear", clear), Route("/stream", stream), WebSocketRoute("/ws", socket)]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, sessions=sessions)])


def test_starlettes_request_session_is_a_dict_that_is_kept(sessions: Tessera) -> None:
    client = TestClient(starlette(sessions), base_url="https://testserver")
    assert client.get("/").json() == {"cart": [0]}
    assert client.get("/").json() == {"cart": [0, 1]}
    assert client.get("/clear").json() == {}
    assert client.get("/").json() == {"cart": [0]}


def test_a_streamed_response_has_the_cookie_and_refuses_later_changes(sessions: Tessera) -> None:
    client = TestClient(starlette(sessions), base_url="https://testserver")
    response = client.get("/stream")
    assert response.text == "1refused" and "set-cookie" in response.headers
    assert client.get("/").json() == {"cart": [1], "early": 1}


def test_a_websocket_has_the_session_and_its_handshake_the_cookie(sessions: Tessera) -> None:
    client = TestClient(starlette(sessions), base_url="https://testserver")
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_json() == {"socket": True}
    client.cookies.set(COOKIE.name, "ts1.none")
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_json() == {"socket": True}
