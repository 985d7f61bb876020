"""Sessions in applications: ASGI, WSGI and Flask behave alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from applications import COOKIE, Down, cookie_of, ok, over_asgi, over_flask, over_wsgi
from conftest import KEYS, NOW

from tessera import Tessera, errors
from tessera.testing import Clock


@pytest.fixture(params=[over_asgi, over_wsgi, over_flask])
def over(request: pytest.FixtureRequest) -> Any:
    """A form of application."""
    return request.param


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


def test_changes_that_a_failed_call_drops_are_in_the_log(over: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    token = sessions.create().save().token
    is_changed = False

    def view(session: Any) -> Any:
        store.is_down = True
        with pytest.raises(errors.OutageError):
            session.authenticate("alice")
        store.is_down = False
        with pytest.raises(errors.InvalidArgumentError):
            session.authenticate("")
        if is_changed:
            session["a"] = 1
        return ok()

    serve = over(sessions, view, COOKIE)
    assert serve(cookie_of(token)).status == 200 and caplog.messages == []
    is_changed = True
    assert serve(cookie_of(token)).status == 200
    assert caplog.messages == ["changes of a session are not stored, because the last call of the store has failed"]
    assert "a" not in sessions.open(token or "")


@pytest.mark.parametrize(
    ("subject", "refusal"), [("", errors.InvalidArgumentError), (7, TypeError), ("alice", errors.InvalidValueError)]
)
def test_a_call_with_an_invalid_argument_or_value_drops_no_change(
    sessions: Tessera, over: Any, subject: Any, refusal: type[Exception]
) -> None:
    def view(session: Any) -> Any:
        session["cart"] = cart = list[object]()
        cart.append(object() if refusal is errors.InvalidValueError else 1)
        with pytest.raises(refusal):
            session.authenticate(subject)
        cart[:] = [2]
        session.flash("a user has a name")
        return ok()

    token = over(sessions, view, COOKIE)().token
    stored = sessions.open(token or "")
    assert stored["cart"] == [2] and len(stored) == 2 and stored.subject is None


def test_a_list_beyond_the_limit_that_keeps_a_call_from_the_store_drops_no_change(sessions: Tessera, over: Any) -> None:
    session = sessions.create()
    session["cart"] = [1]
    token = session.save().token

    def view(session: Any) -> Any:
        session["cart"].append("x" * 20_000)
        for call in (session.save, session.rotate, lambda: session.authenticate("alice")):
            with pytest.raises(errors.LimitExceededError):
                call()
        session["cart"].pop()
        session["note"] = "too large"
        return ok()

    assert over(sessions, view, COOKIE)(cookie_of(token)).status == 200
    stored = sessions.open(token or "")
    assert dict(stored.items()) == {"cart": [1], "note": "too large"} and stored.subject is None


def test_names_of_fields_that_raise_drop_no_change(sessions: Tessera, over: Any) -> None:
    def names() -> Iterator[str]:
        yield "a"
        raise ValueError("in the names")

    def view(session: Any) -> Any:
        with pytest.raises(ValueError, match="in the names"):
            session.authenticate("alice", keep=names())
        session["note"] = 1
        return ok()

    stored = sessions.open(over(sessions, view, COOKIE)().token or "")
    assert dict(stored.items()) == {"note": 1} and stored.subject is None


def test_a_login_keeps_the_fields_that_an_iterator_names(sessions: Tessera, over: Any) -> None:
    session = sessions.create()
    session.update(a=1, b=2)
    token = session.save().token

    def view(session: Any) -> Any:
        session.authenticate("alice", keep=iter(["a"]))
        for unfit in (7, b"a", "a"):
            with pytest.raises(errors.InvalidArgumentError):
                session.authenticate("bob", keep=unfit)
        return ok()

    stored = sessions.open(over(sessions, view, COOKIE)(cookie_of(token)).token or "")
    assert (stored.subject, dict(stored.items())) == ("alice", {"a": 1})


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
