"""Sessions in WSGI applications, by the means of WSGI itself."""

from __future__ import annotations

import base64
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from applications import COOKIE, Down, call_wsgi, cookie_of
from conftest import KEYS

from tessera import Tessera, errors
from tessera._opening import tokens_of
from tessera.wsgi import SessionMiddleware, session_of


def test_a_generator_of_wsgi_is_saved_before_its_response_and_closed(sessions: Tessera) -> None:
    closed = []

    def app(environ: Any, start_response: Any) -> Any:
        try:
            session = session_of(environ)
            session["a"] = 1
            start_response("200 OK", [])
            yield b"one"
            with pytest.raises(errors.ClosedError):
                session["late"] = 1
            yield b"two"
        finally:
            closed.append(True)

    answer = call_wsgi(SessionMiddleware(app, sessions))
    assert (answer.status, answer.body, closed) == (200, b"onetwo", [True])
    assert dict(sessions.open(answer.token or "").items()) == {"a": 1}
    store = Down()
    down = Tessera(store, keys=KEYS, remembered_sessions=0)
    token = down.create().save().token
    store.is_down = True
    assert call_wsgi(SessionMiddleware(app, down), cookie_of(token)).status == 503


def test_the_error_response_of_a_wsgi_application_keeps_the_login(sessions: Tessera) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        session_of(environ).authenticate("alice")
        start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [("x-error", "1")], sys.exc_info())
        return [b"oops"]

    answer = call_wsgi(SessionMiddleware(app, sessions))
    assert answer.status == 500 and sessions.open(answer.token or "").subject == "alice"


def test_a_session_that_is_first_used_after_the_response_is_refused(sessions: Tessera) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        with pytest.raises(errors.ClosedError):
            session_of(environ)
        return [b"late"]

    assert call_wsgi(SessionMiddleware(app, sessions)).body == b"late"


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("is_generator", [False, True])
@pytest.mark.parametrize("does", ["log in", "log out"])
def test_an_exception_after_a_login_or_logout_does_not_lose_the_clients_cookie(
    sessions: Tessera, caplog: pytest.LogCaptureFixture, does: str, is_generator: bool, has_begun: bool
) -> None:
    before = sessions.create().authenticate("bob").token or ""

    def fail(environ: Any, start_response: Any) -> Any:
        session = session_of(environ)
        session.authenticate("alice") if does == "log in" else session.destroy()
        if has_begun:
            start_response("200 OK", [("x-app", "1")])
        raise ValueError("after the call")

    def generate(environ: Any, start_response: Any) -> Any:
        yield fail(environ, start_response)

    answer = call_wsgi(SessionMiddleware(generate if is_generator else fail, sessions), cookie_of(before))
    assert (answer.status, answer.body, answer.one("x-app")) == (500, b"Internal Server Error", None)
    assert answer.one("cache-control") == "no-store"
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [ValueError]
    with pytest.raises(errors.NotLoggedInError):
        sessions.open(before)
    if does == "log in":
        assert sessions.open(answer.token or "").subject == "alice"
    else:
        assert (answer.one("set-cookie") or "").startswith("__Host-tessera=; Path=/; Max-Age=0")


class Body:
    """A body that fails when it is iterated, and notes its end."""

    ends = 0

    def __iter__(self) -> Iterator[bytes]:
        raise ValueError("in the body")

    def close(self) -> None:
        self.ends += 1


def test_a_body_that_cannot_be_iterated_does_not_lose_the_clients_cookie(
    sessions: Tessera, caplog: pytest.LogCaptureFixture
) -> None:
    body = Body()

    def app(environ: Any, start_response: Any) -> Any:
        session_of(environ).authenticate("alice")
        return body

    answer = call_wsgi(SessionMiddleware(app, sessions))
    assert (answer.status, answer.body, body.ends) == (500, b"Internal Server Error", 1)
    assert sessions.open(answer.token or "").subject == "alice"
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [ValueError]


def test_a_body_that_starts_the_response_when_it_is_iterated_is_sent_and_closed(sessions: Tessera) -> None:
    class Starting(Body):
        def __iter__(self) -> Iterator[bytes]:
            start("200 OK", [])
            yield from (b"one", b"two")

    start: Any = None
    body = Starting()

    def app(environ: Any, start_response: Any) -> Any:
        nonlocal start
        start = start_response
        session_of(environ)["a"] = 1
        return body

    answer = call_wsgi(SessionMiddleware(app, sessions))
    assert (answer.status, answer.body, body.ends) == (200, b"onetwo", 1)
    assert dict(sessions.open(answer.token or "").items()) == {"a": 1}


@pytest.mark.parametrize("uses_the_session", [False, True])
def test_an_exception_that_loses_no_cookie_reaches_the_server(sessions: Tessera, uses_the_session: bool) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        if uses_the_session:
            session_of(environ)["a"] = 1
        raise ValueError("without a call")

    with pytest.raises(ValueError, match="without a call"):
        call_wsgi(SessionMiddleware(app, sessions))


def test_an_exception_after_the_headers_have_left_reaches_the_server(sessions: Tessera) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        session_of(environ).authenticate("alice")
        start_response("200 OK", [])(b"sent")
        raise ValueError("too late")

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info is not None:
            raise exc_info[1]
        return lambda _: None

    with pytest.raises(ValueError, match="too late"):
        SessionMiddleware(app, sessions)({}, start_response)


def test_a_nested_cookie_is_foreign_to_an_application_with_a_deep_stack() -> None:
    nested = base64.b64encode(b"[" * 255).decode().rstrip("=") + ".x"

    def at_depth(depth: int) -> object:
        return tokens_of([cookie_of(nested)], COOKIE.name) if depth == 0 else at_depth(depth - 1)

    assert at_depth(sys.getrecursionlimit() - len(inspect.stack()) - 100) == []
