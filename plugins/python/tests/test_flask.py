"""Sessions in Flask, with Flask-Login."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from applications import COOKIE, Down
from conftest import KEYS
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from tessera import Tessera, errors, stores
from tessera.flask import TesseraSessions


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


def new_app(sessions: Tessera) -> flask.Flask:
    """An application without pages, to which users log in with Flask-Login."""
    app = flask.Flask("test")
    app.secret_key = "x"
    TesseraSessions(sessions).init_app(app)
    LoginManager(app).user_loader(User)
    return app


def flask_login_app(sessions: Tessera) -> Any:
    app = new_app(sessions)

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


def test_flask_flashes_and_flask_login_work(sessions: Tessera) -> None:
    app = new_app(sessions)

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


@pytest.mark.parametrize("fails_before", [False, True])
def test_a_server_error_keeps_a_login_back_and_no_logout(fails_before: bool) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    app = new_app(sessions)

    @app.get("/login/<int:status>")
    def login(status: int) -> Any:
        login_user(User("alice"))
        return "", status

    @app.get("/logout")
    def logout() -> Any:
        flask.session["lost"] = True
        if fails_before:
            store.is_down = True
            with pytest.raises(errors.OutageError):
                flask.session.tessera.save()  # type: ignore[attr-defined]
            store.is_down = False
        logout_user()
        raise ValueError("after the logout")

    @app.get("/")
    def home() -> Any:
        return {"user": current_user.get_id(), "fields": list(flask.session)}

    client = app.test_client()
    base = "https://localhost"
    assert client.get("/login/500", base_url=base).status_code == 500
    assert client.get_cookie(COOKIE.name) is None and sessions.list("alice").items == ()
    client.get("/login/200", base_url=base)
    cookie = client.get_cookie(COOKIE.name)
    assert cookie is not None and sessions.open(cookie.value).subject == "alice"
    response = client.get("/logout", base_url=base)
    assert (response.status_code, response.headers["Cache-Control"]) == (500, "no-store")
    assert client.get_cookie(COOKIE.name) is None
    with pytest.raises(errors.NotLoggedInError):
        sessions.open(cookie.value)
    client.set_cookie(COOKIE.name, cookie.value, secure=True)
    assert client.get("/", base_url=base).json == {"user": None, "fields": []}


def test_a_logout_that_the_store_has_not_carried_out_is_no_server_error_of_the_view() -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    app = new_app(sessions)

    @app.get("/logout")
    def logout() -> Any:
        logout_user()
        store.is_down = True
        return "", 500

    # A store that is down refuses only reads and replacements.
    store.delete = store.get  # type: ignore[method-assign]
    session = sessions.create()
    session["_user_id"] = "alice"
    client = app.test_client()
    client.set_cookie(COOKIE.name, session.authenticate("alice").token or "", secure=True)
    response = client.get("/logout", base_url="https://localhost")
    assert (response.status_code, response.headers.getlist("Set-Cookie")) == (503, [])


def test_a_logout_after_a_failed_save_ends_the_session_and_the_log_names_the_loss(caplog: pytest.LogCaptureFixture) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    app = new_app(sessions)

    @app.get("/logout")
    def logout() -> Any:
        flask.session["lost"] = True
        store.is_down = True
        with pytest.raises(errors.OutageError):
            flask.session.tessera.save()  # type: ignore[attr-defined]
        store.is_down = False
        logout_user()
        return ""

    session = sessions.create()
    session["_user_id"] = "alice"
    token = session.authenticate("alice").token or ""
    client = app.test_client()
    client.set_cookie(COOKIE.name, token, secure=True)
    assert client.get("/logout", base_url="https://localhost").status_code == 200
    assert client.get_cookie(COOKIE.name) is None and sessions.list("alice").items == ()
    assert caplog.messages == ["changes of a session are not stored, because the last call of the store has failed"]


def browser_of_alice(app: flask.Flask, sessions: Tessera) -> tuple[Any, str]:
    """A browser in which Alice is logged in, and her token."""
    session = sessions.create()
    session.update({"_user_id": "alice", "cart": [1]})
    token = session.authenticate("alice").token or ""
    client = app.test_client()
    client.set_cookie(COOKIE.name, token, secure=True)
    return client, token


def fail_to_save(store: Down) -> None:
    """A save of the session of the request, while the store is out of reach."""
    flask.session["lost"] = True
    store.is_down = True
    with pytest.raises(errors.OutageError):
        flask.session.tessera.save()  # type: ignore[attr-defined]
    store.is_down = False


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("fails_before", [False, True])
def test_a_logout_ends_a_session_with_a_list_that_cannot_be_written(fails_before: bool, status: int) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    app = new_app(sessions)

    @app.get("/logout")
    def logout() -> Any:
        if fails_before:
            fail_to_save(store)
        flask.session["cart"].append(object())
        logout_user()
        return "", status

    client, token = browser_of_alice(app, sessions)
    response = client.get("/logout", base_url="https://localhost")
    # Without a failure, the fields would go to a new session.
    assert response.status_code == (status if fails_before or status == 500 else 422)
    assert client.get_cookie(COOKIE.name) is None
    with pytest.raises(errors.NotLoggedInError):
        sessions.open(token)


@pytest.mark.parametrize(("fails_before", "status"), [(False, 500), (True, 200), (True, 500)])
@pytest.mark.parametrize("logs_out", [False, True])
def test_a_user_whom_another_one_replaces_is_logged_out_although_that_one_is_not_logged_in(
    logs_out: bool, fails_before: bool, status: int
) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    app = new_app(sessions)

    @app.get("/login")
    def login() -> Any:
        if fails_before:
            fail_to_save(store)
        if logs_out:
            logout_user()
        login_user(User("bob"))
        return "", status

    client, token = browser_of_alice(app, sessions)
    response = client.get("/login", base_url="https://localhost")
    assert (response.status_code, client.get_cookie(COOKIE.name)) == (status, None)
    with pytest.raises(errors.NotLoggedInError):
        sessions.open(token)
    assert sessions.list("alice").items == sessions.list("bob").items == ()


@pytest.mark.parametrize("does", ["log the same user in again", "change nothing"])
def test_a_server_error_ends_no_session_whose_user_stays(sessions: Tessera, does: str) -> None:
    app = new_app(sessions)

    @app.get("/login")
    def login() -> Any:
        if does != "change nothing":
            logout_user()
            login_user(User("alice"))
        return flask.session["_user_id"], 500

    client, token = browser_of_alice(app, sessions)
    assert client.get("/login", base_url="https://localhost").text == "alice"
    assert sessions.open(token).subject == "alice"


@pytest.mark.parametrize("fails", ["a list", "a write", "the store"])
def test_a_user_is_logged_out_if_the_login_of_another_one_fails(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Down()
    sessions = Tessera(store, keys=KEYS)
    app = new_app(sessions)

    def refuse(*_: Any) -> Any:
        raise stores.Unavailable("down")

    @app.get("/login")
    def login() -> Any:
        login_user(User("bob"))
        if fails == "a list":
            flask.session["cart"].append(object())
        else:
            store.insert = store.replace = refuse  # type: ignore[method-assign]
            store.is_down = fails == "the store"
        return ""

    client, token = browser_of_alice(app, sessions)
    response = client.get("/login", base_url="https://localhost")
    store.is_down = False
    assert response.status_code == (422 if fails == "a list" else 503)
    if fails == "the store":
        # No response reports a logout that the store has not carried out.
        assert response.headers.getlist("Set-Cookie") == [] and sessions.open(token).subject == "alice"
        assert caplog.messages[0] == "a session was not ended after the error outcome-unknown: unavailable"
    else:
        assert client.get_cookie(COOKIE.name) is None
        with pytest.raises(errors.NotLoggedInError):
            sessions.open(token)
    assert sessions.list("bob").items == ()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("subject", ["alice", "bob"])
def test_a_login_by_a_call_is_not_ended_by_the_field_that_it_has_dropped(
    sessions: Tessera, subject: str, status: int
) -> None:
    app = new_app(sessions)

    @app.get("/login")
    def login() -> Any:
        flask.session.tessera.authenticate(subject)  # type: ignore[attr-defined]
        return "", status

    client, token = browser_of_alice(app, sessions)
    assert client.get("/login", base_url="https://localhost").status_code == status
    cookie = client.get_cookie(COOKIE.name)
    assert cookie is not None and sessions.open(cookie.value).subject == subject
    with pytest.raises(errors.NotLoggedInError):
        sessions.open(token)


@pytest.mark.parametrize("status", [200, 500])
def test_a_logout_after_a_login_by_a_call_ends_the_session(sessions: Tessera, status: int) -> None:
    app = new_app(sessions)

    @app.get("/logout")
    def logout() -> Any:
        flask.session.tessera.authenticate("alice", keep="everything")  # type: ignore[attr-defined]
        logout_user()
        return "", status

    client, _ = browser_of_alice(app, sessions)
    assert client.get("/logout", base_url="https://localhost").status_code == status
    assert sessions.list("alice").items == ()


def test_a_session_that_was_saved_after_a_logout_by_a_call_goes_on(sessions: Tessera) -> None:
    app = new_app(sessions)

    @app.get("/logout")
    def logout() -> Any:
        flask.session.tessera.destroy()  # type: ignore[attr-defined]
        flask.session["language"] = "de"
        flask.session.tessera.save()  # type: ignore[attr-defined]
        return "", 500

    client, _ = browser_of_alice(app, sessions)
    assert client.get("/logout", base_url="https://localhost").status_code == 500
    cookie = client.get_cookie(COOKIE.name)
    assert cookie is not None and sessions.open(cookie.value)["language"] == "de"
