"""Sessions for Flask.

>>> from flask import Flask
>>> from tessera import Tessera
>>> from tessera.flask import TesseraSessions
>>> app = Flask(__name__)
>>> TesseraSessions(Tessera("memory:", keys={"k": b"-" * 32})).init_app(app)

``flask.session`` is then stored on the server, and works with ``flash``, Flask-Login and Flask-WTF.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flask.sessions import SessionInterface, SessionMixin

from ._engine import Tessera
from ._web import Finished, RequestSession, merge, opening, problem, run, tokens_of
from .cookies import Cookie
from .errors import ClosedError, SessionError

if TYPE_CHECKING:
    from flask import Flask
    from flask.wrappers import Request, Response

__all__ = ["FlaskSession", "TesseraSessions"]

#: The field in which Flask-Login names the user.
USER_FIELD = "_user_id"


class FlaskSession(SessionMixin):
    """``flask.session``: a mapping of field names to values, opened on first use.

    Lists and dicts that are changed in place are saved without ``modified``. ``permanent`` changes no lifetime: the policy and
    the cookie have it.
    """

    def __init__(
        self, sessions: Tessera, cookie: Cookie, headers: list[str], user_field: str | None = None
    ) -> None:
        """The session of a request with these ``Cookie`` headers."""
        self._sessions, self._cookie, self._headers = sessions, cookie, headers
        self._user_field, self._lock = user_field, threading.RLock()
        self._opened: RequestSession | None = None
        #: The failure to open it.
        self._error: SessionError | None = None
        #: The user at the beginning of the request.
        self._user: object = None
        self._has_left = self._is_permanent = False

    @property
    def tessera(self) -> RequestSession:
        """The session itself, for ``authenticate``, ``destroy``, ``rotate`` and ``devices``.

        If the store is out of reach, the first use in a request raises, and the response is the error; what follows in that
        request finds an empty session, which is not stored.
        """
        with self._lock:
            if self._opened is None:
                if self._has_left:
                    raise ClosedError("the response has left: a session that is opened now would not be saved")
                self._opened = self._open()
            return self._opened

    def _open(self) -> RequestSession:
        tokens = tokens_of(self._headers, self._cookie.name)
        try:
            found = run(opening(self._sessions, tokens))
        except SessionError as error:
            self._error = error
            self._opened = RequestSession.unusable(self._sessions, error)
            raise
        if self._user_field is not None:
            self._user = found.session.get(self._user_field)
        return RequestSession(self._sessions, found)

    def _leave(self) -> RequestSession | None:
        with self._lock:
            self._has_left = True
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
        """Whether the application has called the session permanent. The cookie has the lifetime in any case."""
        return self._is_permanent

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if value and self._cookie.lifetime == "browser-session":
            raise TypeError("the session's Cookie ends with the browser session")
        self._is_permanent = value

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
        if not isinstance(session, FlaskSession):
            return
        opened = session._leave()
        if opened is None:
            return
        error = session._error
        if error is None and response.status_code < 500 and self.user_field is not None and not opened.has_failed:
            try:
                run(opened.following(self.user_field, session._user))
            except SessionError as failed:
                error = failed
        finished: Finished = run(opened.finishing(500 if error is not None else response.status_code, self.cookie))
        error = error or finished.error
        headers = list(response.headers.items())
        if error is not None:
            # The response would report changes that are not stored.
            status, headers, body = problem(error)
            response.close()
            response.status_code = status
            response.set_data(body)
        merged = merge(headers, finished.headers, opened.accessed)
        response.headers.clear()
        for name, value in merged:
            response.headers.add(name, value)


def answer(error: SessionError) -> Response:
    """The response for a session error (RFC 9457), for error handlers."""
    from flask import Response as FlaskResponse

    status, headers, body = problem(error)
    return FlaskResponse(body, status=status, headers=headers)
