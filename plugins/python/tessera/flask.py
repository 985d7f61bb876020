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
from ._lazy import Lazy
from ._opening import Opened
from ._problem import problem
from ._steps import run
from ._web import RequestSession
from .cookies import Cookie
from .errors import SessionError

if TYPE_CHECKING:
    from flask import Flask
    from flask.wrappers import Request, Response

__all__ = ["FlaskSession", "TesseraSessions"]

#: The field in which Flask-Login names the user.
USER_FIELD = "_user_id"


class _Followed(Lazy):
    """A session whose user is named by one of its fields."""

    def __init__(self, sessions: Tessera, cookie: Cookie, headers: list[str], user_field: str | None) -> None:
        super().__init__(sessions, cookie, headers, user_field)
        #: The failure to open or to follow it.
        self.error: SessionError | None = None

    def _find(self) -> Opened:
        try:
            return super()._find()
        except SessionError as error:
            self.error = error
            self.session = RequestSession.unusable(self._sessions, error)
            raise

    def follow(self, session: RequestSession, status: int) -> None:
        """Logs the user of the field in or out. A server error keeps a login back, and no logout."""
        if self.error is not None or self._user_field is None:
            return
        try:
            run(session.following(status))
        except SessionError as error:
            self.error = error


class FlaskSession(SessionMixin):
    """``flask.session``: a mapping of field names to values, opened on first use.

    Lists and dicts that are changed in place are saved without ``modified``. ``permanent`` changes no lifetime: the policy and
    the cookie have it.
    """

    def __init__(
        self, sessions: Tessera, cookie: Cookie, headers: list[str], user_field: str | None = None
    ) -> None:
        """The session of a request with these ``Cookie`` headers."""
        self._cookie, self._is_permanent = cookie, False
        self._lazy = _Followed(sessions, cookie, headers, user_field)

    @property
    def tessera(self) -> RequestSession:
        """The session itself, for ``authenticate``, ``destroy``, ``rotate`` and ``devices``.

        If the store is out of reach, the first use in a request raises, and the response is the error; what follows in that
        request finds an empty session, which is not stored.
        """
        return self._lazy.open()

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
        session = self._lazy.session
        return session is not None and session.modified

    @modified.setter
    def modified(self, value: bool) -> None:
        pass

    @property
    def accessed(self) -> bool:
        """Whether the response depends on the session."""
        session = self._lazy.session
        return session is not None and session.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        pass


class TesseraSessions(SessionInterface):
    """Flask's session interface over Tessera.

    ``user_field``: if this field names another user than the session's subject when the response leaves, the session is
    authenticated as that user, and keeps its fields; if it names nobody any more, the session ends, and its other fields go to a
    new one. So Flask-Login's ``login_user`` and ``logout_user`` are a login and a logout. With a server error (5xx), the session of
    a user who has logged out, or in whose place another one has logged in, ends, and nobody is logged in. What the field was
    before ``session.tessera.authenticate`` or ``destroy`` does not count. ``None`` leaves logins to ``session.tessera``.
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
        lazy = session._lazy
        opened = lazy.leave()
        if opened is None:
            return
        lazy.follow(opened, response.status_code)
        finished = lazy.finish(500 if lazy.error is not None else response.status_code)
        error = lazy.error or finished.error
        headers = list(response.headers.items())
        if error is not None:
            # The response would report changes that are not stored.
            status, headers, body = problem(error)
            response.close()
            response.status_code = status
            response.set_data(body)
        merged = lazy.merged(headers, finished)
        response.headers.clear()
        for name, value in merged:
            response.headers.add(name, value)


def answer(error: SessionError) -> Response:
    """The response for a session error (RFC 9457), for error handlers."""
    from flask import Response as FlaskResponse

    status, headers, body = problem(error)
    return FlaskResponse(body, status=status, headers=headers)
