"""The session of one request, opened on first use by calls that block."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ._engine import Tessera
from ._headers import merge
from ._opening import Opened, opening, tokens_of
from ._steps import run
from ._web import Finished, RequestSession
from .cookies import Cookie
from .errors import ClosedError


class Lazy:
    """The session of a request, for frameworks that serve each request in a thread."""

    def __init__(
        self, sessions: Tessera, cookie: Cookie, headers: Iterable[str], user_field: str | None = None
    ) -> None:
        """The session of a request with these ``Cookie`` headers, and the field in which a framework names the user."""
        self._sessions, self._cookie, self._headers, self._user_field = sessions, cookie, headers, user_field
        self._lock = threading.RLock()
        self._has_left = self._is_looked_at = False
        #: The session, if it was opened.
        self.session: RequestSession | None = None

    def open(self) -> RequestSession:
        """Returns the session. Only the first call needs the store."""
        with self._lock:
            self._is_looked_at = True
            if self.session is None:
                if self._has_left:
                    raise ClosedError("the response has left: a session that is opened now would not be saved")
                self.session = RequestSession(self._sessions, self._find(), self._user_field)
            return self.session

    def _find(self) -> Opened:
        found: Opened = run(opening(self._sessions, tokens_of(self._headers, self._cookie.name)))
        return found

    def leave(self) -> RequestSession | None:
        """Returns the session, if it was opened. Afterwards, it is not opened any more."""
        with self._lock:
            self._has_left = True
            return self.session

    def finish(self, status: int) -> Finished:
        """Saves the session before the response leaves."""
        session = self.leave()
        if session is None:
            return Finished([], None)
        finished: Finished = run(session.finishing(status, self._cookie))
        return finished

    def merged(self, headers: Iterable[tuple[str, str]], finished: Finished) -> list[tuple[str, str]]:
        """The headers of the response, with those of the session."""
        # A session that could not be opened has decided the response, too.
        accessed = self._is_looked_at if self.session is None else self.session.accessed
        return merge(headers, finished.headers, accessed)
