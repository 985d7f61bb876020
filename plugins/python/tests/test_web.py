"""Sessions in applications: ASGI, WSGI, Flask and Django behave alike."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import KEYS, NOW
from own_store import DictStore

import tessera.wsgi
from tessera import Cookie, Tessera, asgi, errors, stores
from tessera.testing import Clock

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


def over_asgi(sessions: Tessera, view: View, cookie: Cookie) -> Serve:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        status, headers, body = view(scope["session"])
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await send({"type": "http.response.body", "body": body[1:]})

    wrapped = asgi.SessionMiddleware(app, sessions, cookie)

    def serve(*cookies: str) -> Answer:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        headers = [(b"cookie", line.encode("latin-1")) for line in cookies]
        asyncio.run(wrapped({"type": "http", "headers": headers}, receive, send))
        start, *rest = sent
        headers_of = [(name.decode(), value.decode()) for name, value in start["headers"]]
        return Answer(start["status"], headers_of, b"".join(part["body"] for part in rest))

    return serve


def over_wsgi(sessions: Tessera, view: View, cookie: Cookie) -> Serve:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        status, headers, body = view(tessera.wsgi.session_of(environ))
        start_response(f"{status} Status", headers)
        return [body]

    wrapped = tessera.wsgi.SessionMiddleware(app, sessions, cookie)

    def serve(*cookies: str) -> Answer:
        started: list[Any] = []

        def start_response(status: str, headers: Any) -> Any:
            started[:] = [int(status[:3]), headers]

        body = b"".join(wrapped({"HTTP_COOKIE": "; ".join(cookies)}, start_response))
        return Answer(started[0], started[1], body)

    return serve


def over_flask(sessions: Tessera, view: View, cookie: Cookie) -> Serve:
    import flask

    from tessera.flask import TesseraSessions

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


@pytest.fixture(params=[over_asgi, over_wsgi, over_flask])
def over(request: pytest.FixtureRequest) -> Any:
    """A form of application."""
    return request.param


def ok(body: object = None, *headers: tuple[str, str]) -> Any:
    return 200, list(headers), json.dumps(body).encode()


def cookie_of(token: str | None) -> str:
    return f"{COOKIE.name}={token}"


def test_a_visitor_whose_session_is_not_touched_gets_no_cookie_and_no_header(sessions: Tessera, over: Any) -> None:
    answer = over(sessions, lambda _: ok(), COOKIE)()
    assert (answer.status, answer.all("set-cookie"), answer.one("vary"), answer.one("cache-control")) == (
        200,
        [],
        None,
        None,
    )
    # One that was only read is a draft, and the response depends on it.
    answer = over(sessions, lambda session: ok(session.get("a")), COOKIE)(cookie_of("x"))
    assert (answer.all("set-cookie"), answer.one("vary"), answer.one("cache-control")) == (
        [],
        "Cookie",
        "private, no-cache",
    )


def test_a_change_is_saved_before_the_response_and_its_cookie_has_all_attributes(sessions: Tessera, over: Any) -> None:
    def view(session: Any) -> Any:
        session["visits"] = session.get("visits", 0) + 1
        return ok(session["visits"], ("cache-control", "max-age=60"), ("vary", "Accept"))

    serve = over(sessions, view, COOKIE)
    first = serve()
    assert first.one("set-cookie") == (
        f"__Host-tessera={first.token}; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax"
    )
    assert (first.one("cache-control"), sorted(first.all("vary"))) == ("no-store", ["Accept", "Cookie"])
    second = serve(f"other=1; {cookie_of(first.token)}; more=2")
    assert second.json() == 2 and second.all("set-cookie") == []
    assert second.one("cache-control") == "max-age=60"


def test_a_login_a_rotation_and_a_logout_change_the_cookie(sessions: Tessera, over: Any) -> None:
    def log_in(session: Any) -> Any:
        session.authenticate("alice")
        return ok()

    def log_out(session: Any) -> Any:
        session.destroy()
        return ok(session.subject)

    def rotate(session: Any) -> Any:
        session.rotate()
        return ok(session.token)

    one = over(sessions, lambda session: (session.update(a=1), ok())[1], COOKIE)().token
    two = over(sessions, log_in, COOKIE)(cookie_of(one)).token
    assert two not in (None, one)
    rotated = over(sessions, rotate, COOKIE)(cookie_of(two))
    assert rotated.json() == rotated.token != two
    out = over(sessions, log_out, COOKIE)(cookie_of(rotated.token))
    assert out.one("set-cookie") == "__Host-tessera=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"
    assert out.one("cache-control") == "no-store"
    for token in (one, two, rotated.token):
        with pytest.raises(errors.NotLoggedInError):
            sessions.open(token or "")

    def again(session: Any) -> Any:
        session.destroy()
        session["a"] = 1
        return ok()

    three = over(sessions, log_in, COOKIE)().token
    four = over(sessions, again, COOKIE)(cookie_of(three)).token
    assert four is not None and dict(sessions.open(four).items()) == {"a": 1}


def test_a_server_error_saves_nothing(sessions: Tessera, over: Any) -> None:
    def view(session: Any) -> Any:
        session["a"] = 1
        return 500, [], b"oops"

    assert over(sessions, view, COOKIE)().all("set-cookie") == []


def test_fields_of_a_failed_login_are_not_stored_in_the_session_before_it(over: Any) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    session = sessions.create()
    token = session.save().token

    def view(session: Any) -> Any:
        session["role"] = "admin"
        store.is_down = True
        with pytest.raises(errors.OutageError):
            session.authenticate("alice")
        store.is_down = False
        return ok()

    assert over(sessions, view, COOKIE)(cookie_of(token)).status == 200
    assert "role" not in sessions.open(token or "")


def test_an_outage_is_503_and_never_a_visitor_without_a_login(over: Any) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS, remembered_sessions=0)
    token = sessions.create().save().token
    store.is_down = True
    answer = over(sessions, lambda session: ok(session.subject), COOKIE)(cookie_of(token))
    assert (answer.status, answer.one("retry-after"), answer.one("content-type")) == (
        503,
        "1",
        "application/problem+json",
    )
    assert answer.json()["code"] == "unavailable" and answer.all("set-cookie") == []


def test_a_save_that_fails_replaces_the_response(over: Any) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    token = sessions.create().save().token

    def view(session: Any) -> Any:
        session["a"] = 1
        store.is_down = True
        return ok("saved", ("x-app", "1"))

    answer = over(sessions, view, COOKIE)(cookie_of(token))
    assert (answer.status, answer.json()["code"], answer.one("x-app")) == (503, "outcome-unknown", None)


def test_a_login_is_in_the_response_although_a_later_save_fails(over: Any) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)

    def view(session: Any) -> Any:
        session.authenticate("alice")
        session["a"] = 1
        store.is_down = True
        return ok("saved", ("content-length", "7"))

    answer = over(sessions, view, COOKIE)()
    store.is_down = False
    assert answer.status == 503 and answer.one("content-length") == str(len(answer.body))
    assert sessions.open(answer.token or "").subject == "alice"


def test_an_error_of_the_session_that_a_view_does_not_handle_has_its_status(clock: Clock, over: Any) -> None:
    policy: Any = {"sessions_per_subject": 1, "cap_rule": "refuse"}
    sessions = Tessera("memory:", keys=KEYS, clock=clock, policy=policy)
    sessions.create().authenticate("alice")
    # Logins of one millisecond are ordered by their ids (SECURITY.md), so that the first may count as the later one.
    clock.advance(1)

    def view(session: Any) -> Any:
        session.authenticate("alice")
        return ok()

    answer = over(sessions, view, COOKIE)()
    assert (answer.status, answer.json()["code"]) == (409, "too-many-sessions")


def test_activity_extends_a_session_and_tokens_are_renewed(clock: Clock, over: Any) -> None:
    sessions = Tessera("memory:", keys=KEYS, clock=clock, policy={"renew_interval": 3600})
    serve = over(sessions, lambda session: ok(session.get("a")), COOKIE)
    session = sessions.create()
    token = session.save().token
    for _ in range(2):
        clock.advance(20 * 60_000)
        assert serve(cookie_of(token)).all("set-cookie") == []
    clock.advance(25 * 60_000)
    renewed = serve(cookie_of(token)).token
    assert renewed not in (None, token)
    clock.advance(20 * 60_000)
    assert sessions.open(renewed or "").public_id == session.public_id
    assert clock.milliseconds - NOW == 85 * 60_000


def test_several_cookies_of_one_name_open_the_only_session_there_is(sessions: Tessera, over: Any) -> None:
    serve = over(sessions, lambda session: ok([session.token_state, session.get("a")]), COOKIE)

    def stored(value: int) -> str:
        session = sessions.create()
        session["a"] = value
        return cookie_of(session.save().token)

    one, two = stored(1), stored(2)
    ended = stored(3)
    sessions.open(ended.partition("=")[2]).destroy()
    assert serve(f"{ended}; {one}; {cookie_of('foreign')}; {one}").json() == ["live", 1]
    assert serve(f"{one}; {two}").json() == ["token-ambiguous", None]
    assert serve("; ".join(cookie_of(f"ts1.{number}") for number in range(5)) + f"; {one}").json() == [
        "token-ambiguous",
        None,
    ]
    assert serve(cookie_of("foreign")).json() == ["absent", None]
    assert serve(ended).json() == ["missing", None]
    assert serve(f"{COOKIE.name}; =; ;;\xff={one}").json()[0] in ("absent", "live")


def test_flash_messages_are_returned_once(sessions: Tessera, over: Any) -> None:
    def leave(session: Any) -> Any:
        for number in range(18):
            session.flash(f"m{number}")
        return ok()

    token = over(sessions, leave, COOKIE)().token
    serve = over(sessions, lambda session: ok(session.take_flash()), COOKIE)
    taken = serve(cookie_of(token)).json()
    assert len(taken) == 16 and set(taken) <= {f"m{number}" for number in range(18)}
    assert serve(cookie_of(token)).json() == []


def test_a_change_after_the_response_is_refused(sessions: Tessera, over: Any) -> None:
    kept: list[Any] = []
    over(sessions, lambda session: (kept.append(session), session.update(a=1), ok())[2], COOKIE)()
    with pytest.raises(errors.ClosedError, match="response has left"):
        kept[0]["b"] = 2
    assert kept[0]["a"] == 1


def test_the_devices_of_a_user_and_csrf_tokens(sessions: Tessera, over: Any) -> None:
    def view(session: Any) -> Any:
        assert session.csrf_token() == "" and session.devices() is None
        session.authenticate("alice")
        session.check_csrf_token(session.csrf_token())
        page = session.devices()
        return ok([item.current for item in page.items])

    assert over(sessions, view, COOKIE)().json() == [True]


def test_cookies_have_the_bytes_of_the_vectors() -> None:
    vectors = Path(__file__).parents[3] / "http/vectors/cookies.json"
    for vector in json.loads(vectors.read_text()):
        settings = dict(vector["cookie"])
        settings["formerly"] = tuple(tuple(scope) for scope in settings.pop("formerly", []))
        if "refused" in vector:
            with pytest.raises(errors.ConfigurationError) as raised:
                Cookie(**settings)
            assert str(raised.value) == vector["refused"]
            continue
        cookie = Cookie(**settings)
        if vector.get("set") is None:
            with pytest.raises(errors.ConfigurationError, match="4096"):
                cookie.set(vector["token"], vector["remaining"])
        else:
            assert cookie.set(vector["token"], vector["remaining"]) == vector["set"]
        assert [*cookie.remove_twins(), cookie.remove()] == vector["removals"]


def call_wsgi(app: Any, sessions: Tessera, cookies: str = "") -> Answer:
    started: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        assert not started or exc_info is not None
        started[:] = [int(status[:3]), headers]

    result = tessera.wsgi.SessionMiddleware(app, sessions)({"HTTP_COOKIE": cookies}, start_response)
    body = b"".join(result)
    close = getattr(result, "close", None)
    if close is not None:
        close()
    return Answer(started[0], started[1], body)


def test_a_generator_of_wsgi_is_saved_before_its_response_and_closed(sessions: Tessera) -> None:
    closed = []

    def app(environ: Any, start_response: Any) -> Any:
        try:
            session = tessera.wsgi.session_of(environ)
            session["a"] = 1
            start_response("200 OK", [])
            yield b"one"
            with pytest.raises(errors.ClosedError):
                session["late"] = 1
            yield b"two"
        finally:
            closed.append(True)

    answer = call_wsgi(app, sessions)
    assert (answer.status, answer.body, closed) == (200, b"onetwo", [True])
    assert dict(sessions.open(answer.token or "").items()) == {"a": 1}
    store = Down()
    down = Tessera(store, keys=KEYS, remembered_sessions=0)
    token = down.create().save().token
    store.is_down = True
    assert call_wsgi(app, down, cookie_of(token)).status == 503


def test_the_error_response_of_a_wsgi_application_keeps_the_login(sessions: Tessera) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        tessera.wsgi.session_of(environ).authenticate("alice")
        start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [("x-error", "1")], sys.exc_info())
        return [b"oops"]

    answer = call_wsgi(app, sessions)
    assert answer.status == 500 and sessions.open(answer.token or "").subject == "alice"


def test_a_session_that_is_first_used_after_the_response_is_refused(sessions: Tessera) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        with pytest.raises(errors.ClosedError):
            tessera.wsgi.session_of(environ)
        return [b"late"]

    assert call_wsgi(app, sessions).body == b"late"


def test_an_exception_after_a_login_does_not_lose_its_token(sessions: Tessera) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].aauthenticate("alice")
        raise ValueError("after the login")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def use() -> None:
        with pytest.raises(ValueError, match="after the login"):
            await asgi.SessionMiddleware(app, sessions)({"type": "http", "headers": []}, send, send)

    asyncio.run(use())
    headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    assert sent[0]["status"] == 500
    assert sessions.open(Answer(500, headers, b"").token or "").subject == "alice"


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
def test_an_outage_at_the_handshake_of_a_websocket_is_told_to_come_back(extensions: Any) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS, remembered_sessions=0)
    token = sessions.create().save().token
    store.is_down = True
    sent: list[Any] = []

    async def app(*_: Any) -> None:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    headers = [(b"cookie", cookie_of(token).encode())]
    scope = {"type": "websocket", "headers": headers, "extensions": extensions}
    asyncio.run(asgi.SessionMiddleware(app, sessions)(scope, receive, send))
    if extensions:
        assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
        assert sent[0]["status"] == 503
    else:
        assert sent == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1013, "reason": "unavailable"}]


def test_a_login_in_a_websocket_that_is_refused_is_in_its_response(sessions: Tessera) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await scope["session"].aauthenticate("alice")
        await send({"type": "websocket.close"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "headers": [], "extensions": {"websocket.http.response": {}}}
    asyncio.run(asgi.SessionMiddleware(app, sessions)(scope, send, send))
    assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 403)
    assert any(name == b"set-cookie" for name, _ in sent[0]["headers"])


def flask_login_app(sessions: Tessera) -> Any:
    import flask
    from flask_login import LoginManager, UserMixin, current_user, login_user

    from tessera.flask import TesseraSessions

    class User(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name

    app = flask.Flask("test")
    app.secret_key = "x"
    TesseraSessions(sessions).init_app(app)
    LoginManager(app).user_loader(User)

    @app.get("/")
    def home() -> Any:
        return str(current_user.get_id())

    @app.get("/fixed")
    def fixed() -> Any:
        flask.session["visit"] = 1
        login_user(User("alice"))
        flask.session.tessera.save()  # type: ignore[attr-defined]
        return "", 500

    @app.get("/again")
    def again() -> Any:
        flask.session.tessera.destroy()  # type: ignore[attr-defined]
        login_user(User("alice"))
        return ""

    return app.test_client()


def test_an_outage_is_503_on_every_page_with_flask_login() -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS, remembered_sessions=0)
    client = flask_login_app(sessions)
    token = sessions.create().save().token
    client.set_cookie(COOKIE.name, token, secure=True)
    store.is_down = True
    response = client.get("/", base_url="https://localhost")
    assert (response.status_code, response.headers.getlist("Content-Length")) == (503, [str(len(response.data))])
    assert response.headers.get("Retry-After") == "1"


def test_a_session_that_names_a_user_of_flask_login_is_authenticated_at_the_latest_with_the_next_request(
    sessions: Tessera,
) -> None:
    client = flask_login_app(sessions)
    assert client.get("/fixed", base_url="https://localhost").status_code == 500
    planted = client.get_cookie(COOKIE.name)
    assert client.get("/", base_url="https://localhost").text == "alice"
    now = client.get_cookie(COOKIE.name)
    assert planted is not None and now is not None and now.value != planted.value
    with pytest.raises(errors.ReplacedError):
        sessions.open(planted.value)
    client.get("/again", base_url="https://localhost")
    assert len(sessions.list("alice").items) == 1


# Frameworks by their own means.


def starlette(sessions: Tessera) -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

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
    return Starlette(routes=routes, middleware=[Middleware(asgi.SessionMiddleware, sessions=sessions)])


def test_starlettes_request_session_is_a_dict_that_is_kept(sessions: Tessera) -> None:
    from starlette.testclient import TestClient

    client = TestClient(starlette(sessions), base_url="https://testserver")
    assert client.get("/").json() == {"cart": [0]}
    assert client.get("/").json() == {"cart": [0, 1]}
    assert client.get("/clear").json() == {}
    assert client.get("/").json() == {"cart": [0]}


def test_a_streamed_response_has_the_cookie_and_refuses_later_changes(sessions: Tessera) -> None:
    from starlette.testclient import TestClient

    client = TestClient(starlette(sessions), base_url="https://testserver")
    response = client.get("/stream")
    assert response.text == "1refused" and "set-cookie" in response.headers
    assert client.get("/").json() == {"cart": [1], "early": 1}


def test_a_websocket_has_the_session_and_its_handshake_the_cookie(sessions: Tessera) -> None:
    from starlette.testclient import TestClient

    client = TestClient(starlette(sessions), base_url="https://testserver")
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_json() == {"socket": True}
    client.cookies.set(COOKIE.name, "ts1.none")
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_json() == {"socket": True}


def test_flask_flashes_and_flask_login_work(sessions: Tessera) -> None:
    import flask
    from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

    from tessera.flask import TesseraSessions

    app = flask.Flask("test")
    app.secret_key = "x"
    TesseraSessions(sessions).init_app(app)
    logins = LoginManager(app)

    class User(UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name

    logins.user_loader(User)

    @app.get("/login/<name>")
    def login(name: str) -> Any:
        flask.session["before"] = "kept"
        login_user(User(name))
        flask.flash("welcome", "info")
        return ""

    @app.get("/")
    def home() -> Any:
        messages = flask.get_flashed_messages(with_categories=True)
        return {"user": current_user.get_id(), "messages": messages, "new": flask.session.new}

    @app.get("/nested")
    def nested() -> Any:
        flask.session.setdefault("cart", {"items": []})["items"].append(1)
        return {"cart": flask.session["cart"], "permanent": flask.session.permanent}

    @app.get("/logout")
    def logout() -> Any:
        logout_user()
        return ""

    client = app.test_client()
    base = "https://localhost"
    client.get("/login/alice", base_url=base)
    before = client.get_cookie(COOKIE.name)
    assert before is not None and sessions.open(before.value).subject == "alice"
    assert client.get("/", base_url=base).json == {"user": "alice", "messages": [["info", "welcome"]], "new": False}
    assert client.get("/", base_url=base).json["messages"] == []
    assert client.get("/nested", base_url=base).json["cart"] == {"items": [1]}
    assert client.get("/nested", base_url=base).json == {"cart": {"items": [1, 1]}, "permanent": False}
    # Another user in the same browser.
    client.get("/login/bob", base_url=base)
    with pytest.raises(errors.ReplacedError):
        sessions.open(before.value)
    bob = client.get_cookie(COOKIE.name)
    client.get("/logout", base_url=base)
    assert bob is not None and bob.value
    with pytest.raises(errors.NotLoggedInError):
        sessions.open(bob.value)
    after = client.get("/", base_url=base).json
    assert after["user"] is None
    assert sessions.list("alice").items == sessions.list("bob").items == ()


@pytest.fixture
def keys_variable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The keys of the tests in the environment."""
    monkeypatch.setenv("TESSERA_KEYS", '{"keys": [{"id": "k", "secret": "LS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0"}]}')
    yield


def client_of(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)


def check_login(client: httpx.Client) -> str:
    """A visit, a wrong password, a login that keeps the visits, and its cookie."""
    assert client.get("/").json()["visits"] == 1
    before = next(iter(client.cookies.jar)).value
    wrong = client.post("/login", data={"user": "alice", "password": "wrong"})
    assert wrong.status_code == 403
    right = client.post("/login", data={"user": "alice", "password": "correct horse"})
    assert right.status_code == 200, right.text
    home = client.get("/").json()
    assert (home["user"], home["visits"]) == ("alice", 2)
    after = next(iter(client.cookies.jar)).value
    assert after not in (None, before)
    stolen = httpx.get(client.base_url, headers={"Cookie": f"{next(iter(client.cookies.jar)).name}={before}"})
    assert stolen.json()["user"] is None
    return after or ""


def environment(url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "TESSERA_STORE": url,
        "TESSERA_KEYS": os.environ["TESSERA_KEYS"],
        "INSECURE": "1",
        "DATABASE": str(tmp_path / "users.db"),
    }


def test_the_example_in_fastapi_runs_on_uvicorn(redis_url: str, keys_variable: None, tmp_path: Path) -> None:
    from conftest import Program, free_port, python

    port = free_port()
    arguments = python("-m", "uvicorn", "fastapi_app:app", "--port", str(port), "--workers", "2")
    program = Program(arguments, environment(redis_url, tmp_path), port)
    try:
        with client_of(port) as client:
            token = check_login(client)
            assert [device["current"] for device in client.get("/devices").json()] == [True]
            client.post("/logout")
            assert client.get("/devices").status_code == 401
            with pytest.raises(errors.NotLoggedInError):
                Tessera(redis_url, keys=KEYS).open(token)
    finally:
        program.stop()


@pytest.mark.parametrize("preload", [True, False])
def test_the_example_in_flask_runs_on_gunicorn_with_several_workers(
    redis_url: str, keys_variable: None, tmp_path: Path, preload: bool
) -> None:
    from conftest import Program, free_port, python

    port = free_port()
    arguments = python("-m", "gunicorn", "flask_app:app", "--bind", f"127.0.0.1:{port}", "--workers", "3")
    program = Program(arguments + ["--preload"] * preload, environment(redis_url, tmp_path), port)
    try:
        with client_of(port) as client:
            check_login(client)
            assert len(client.get("/devices").json()) == 1
            workers = {httpx.get(f"{client.base_url}").json()["pid"] for _ in range(60)}
            assert len(workers) > 1, program.log()
            client.post("/logout")
            assert client.get("/devices").status_code == 401
    finally:
        program.stop()


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_the_example_in_django_runs_on_gunicorn_and_on_uvicorn(
    redis_url: str, keys_variable: None, tmp_path: Path, server: str
) -> None:
    import subprocess

    from conftest import EXAMPLES, PACKAGE, Program, free_port, python

    port, variables = free_port(), environment(redis_url, tmp_path)
    create = (
        "import django_app; from django.core.management import call_command; call_command('migrate', verbosity=0);"
        "from django.contrib.auth.models import User; User.objects.create_user('alice', password='correct horse')"
    )
    paths = {"PYTHONPATH": f"{PACKAGE}:{EXAMPLES}"}
    subprocess.run(python("-c", create), check=True, env={**os.environ, **variables, **paths}, cwd=EXAMPLES, timeout=60)
    arguments = (
        python("-m", "gunicorn", "django_app:application", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--preload")
        if server == "gunicorn"
        else python("-m", "uvicorn", "django_app:asgi", "--port", str(port), "--lifespan", "off")
    )
    program = Program(arguments, variables, port)
    try:
        with client_of(port) as client:
            token = check_login(client)
            opened = Tessera(redis_url, keys=KEYS).open(token)
            assert opened.subject == opened["_auth_user_id"] == "1"
            client.post("/logout")
            home = client.get("/").json()
            assert (home["user"], home["visits"]) == (None, 1)
            with pytest.raises(errors.NotLoggedInError):
                Tessera(redis_url, keys=KEYS).open(token)
    finally:
        program.stop()
