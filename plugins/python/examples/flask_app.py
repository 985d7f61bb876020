"""A login in Flask with Flask-Login: ``gunicorn --preload flask_app:app``.

The variables ``TESSERA_STORE`` and ``TESSERA_KEYS`` (or ``TESSERA_KEY_FILE``) name the store and the keys, as for ``tessera serve``.
"""

from __future__ import annotations

import os

from flask import Flask, abort, flash, get_flashed_messages, request, session
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user

from tessera import Cookie, Tessera
from tessera.flask import TesseraSessions

sessions = Tessera.from_environment()
cookie = Cookie.insecure_for_local_development() if os.environ.get("INSECURE") else Cookie()

app = Flask(__name__)
app.secret_key = "for Flask-Login's remember cookie, which this example does not use"
TesseraSessions(sessions, cookie).init_app(app)
logins = LoginManager(app)


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


@logins.user_loader
def load(name: str) -> User:
    return User(name)


@app.post("/login")
def login() -> ResponseReturnValue:
    # An application compares a hash.
    if request.form.get("password") != "correct horse":
        abort(403)
    login_user(User(request.form["user"]))
    flash("welcome")
    return {"user": request.form["user"]}


@app.get("/")
def home() -> ResponseReturnValue:
    session["visits"] = session.get("visits", 0) + 1
    user = current_user.get_id()
    return {"user": user, "visits": session["visits"], "messages": get_flashed_messages(), "pid": os.getpid()}


@app.get("/devices")
@login_required
def devices() -> ResponseReturnValue:
    return [{"id": item.public_id} for item in sessions.list_all(current_user.get_id())]


@app.post("/logout")
def logout() -> ResponseReturnValue:
    logout_user()
    return {"done": True}
