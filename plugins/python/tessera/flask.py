"""Sessions for Flask.

>>> from flask import Flask
>>> from tessera import Tessera
>>> from tessera.flask import TesseraSessions
>>> app = Flask(__name__)
>>> TesseraSessions(Tessera("memory:", keys={"k": b"-" * 32})).init_app(app)

``flask.session`` is then stored on the server, and works with ``flash``, Flask-Login and Flask-WTF.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flask.sessions import SessionInterface, SessionMixin

from ._engine import Tessera
from ._web import RequestSession, merge, opening, problem, run, tokens_of
from .cookies import Cookie
from .errors import SessionError

if TYPE_CHECKING:
    from flask import Flask
    from flask.wrappers import Request, Response

__all__ = ["FlaskSession", "TesseraSessions"]

#: The field in which Flask-Login names the user.
USER_FIELD = "_user_id"


class FlaskSession(SessionMixin):
    """``flask.session``: a mapping of field names to values, opened on first use.

    Lists and dicts that are changed in place are saved without ``modified``. ``permanent`` cannot be changed: the policy and the
    cookie have the lifetime.
    """

    def __init__(
        self, sessions: Tessera, cookie: Cookie, headers: list[str], user_field: str | None = None
    ) -> None:
        """The session of a request with these ``Cookie`` headers."""
        self._sessions, self._cookie, self._headers = sessions, cookie, headers
        self._opened: RequestSession | None = None
        #: The user at the beginning of the request.
        self._user: object = None
        self._user_field = user_field

    @property
    def tessera(self) -> RequestSession:
        """The session itself, for ``authenticate``, ``destroy``, ``rotate`` and ``devices``."""
        if self._opened is None:
            tokens = tokens_of(self._headers, self._cookie.name)
            found = run(opening(self._sessions, tokens))
            self._opened = RequestSession(self._sessions, found)
            if self._user_field is not None:
                self._user = found.session.get(self._user_field)
        return self._opened

    def __getitem__(self, name: str) -> Any:
        """The value of a field; raises ``KeyError``."""
        return self.tessera[name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Sets a field."""
        self.tessera[name] = value

    def __delitem__(self, name: str) -> None:
        """Removes a field; raises ``KeyError``."""
        del self.tessera[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the fields."""
        return iter(self.tessera)

    def __len__(self) -> int:
        """The number of fields."""
        return len(self.tessera)

    def __contains__(self, name: object) -> bool:
        """Whether there is a field of this name."""
        return name in self.tessera

    def pop(self, name: str, *default: Any) -> Any:
        """Removes a field and returns its value."""
        return self.tessera.pop(name, *default)

    @property
    def permanent(self) -> bool:
        """Whether the browser keeps the cookie beyond its own session."""
        return self._cookie.lifetime == "absolute-end"

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if value != self.permanent:
            raise TypeError("the lifetime of the session is that of its policy and its Cookie, and the same for all")

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether the request brought no session."""
        return self.tessera.token_state != "live"

    @property
    def modified(self) -> bool:
        """Whether there are changes to save. Setting it changes nothing, because lists and dicts are compared."""
        return self._opened is not None and self._opened.modified

    @modified.setter
    def modified(self, value: bool) -> None:
        pass

    @property
    def accessed(self) -> bool:
        """Whether the response depends on the session."""
        return self._opened is not None and self._opened.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        pass


class TesseraSessions(SessionInterface):
    """Flask's session interface over Tessera.

    ``user_field``: if this field names another user than the session's subject when the response leaves, the session is
    authenticated as that user, and keeps its fields; if it names nobody any more, the session ends, and its other fields go to a
    new one. So Flask-Login's ``login_user`` and ``logout_user`` are a login and a logout. ``None`` leaves logins to
    ``session.tessera``.
    """

    session_class = FlaskSession

    def __init__(
        self, sessions: Tessera, cookie: Cookie | None = None, user_field: str | None = USER_FIELD
    ) -> None:
        """The interface over sessions. By default the token travels in the cookie ``__Host-tessera``."""
        self.sessions, self.cookie, self.user_field = sessions, cookie or Cookie(), user_field

    def init_app(self, app: Flask) -> None:
        """Makes it the session interface of an application, and answers session errors with their status."""
        app.session_interface = self
        app.register_error_handler(SessionError, answer)

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        """The session of a request, which is opened on first use."""
        headers = request.headers.getlist("Cookie")
        return FlaskSession(self.sessions, self.cookie, headers, self.user_field)

    def is_null_session(self, obj: object) -> bool:
        """Every session can be written."""
        return False

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Saves the session, and adds the headers that the response needs."""
        if not isinstance(session, FlaskSession) or session._opened is None:
            return
        opened = session._opened
        try:
            if response.status_code < 500 and self.user_field is not None and not opened._failed:
                run(opened.following(self.user_field, session._user))
            more = run(opened.finishing(response.status_code, self.cookie))
        except SessionError as error:
            # The response would report changes that are not stored.
            status, more, body = problem(error)
            response.headers.clear()
            response.status_code = status
            response.set_data(body)
            for name, value in more:
                response.headers.add(name, value)
            return
        merged = merge(list(response.headers.items()), more, opened.accessed)
        response.headers.clear()
        for name, value in merged:
            response.headers.add(name, value)


def answer(error: SessionError) -> Response:
    """The response for a session error (RFC 9457), for error handlers."""
    from flask import Response as FlaskResponse

    status, headers, body = problem(error)
    return FlaskResponse(body, status=status, headers=headers)
