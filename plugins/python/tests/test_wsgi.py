"""Sessions in WSGI applications, by the means of WSGI itself."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from applications import Down, call_wsgi, cookie_of
from conftest import KEYS

from tessera import Tessera, errors
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
