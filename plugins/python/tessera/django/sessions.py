"""The session engine of Django over Tessera: ``SESSION_ENGINE = "tessera.django.sessions"``.

The session key is the token. A login is what Django's ``login`` does: it changes the key, and names the user in
``_auth_user_id``. Here, the key changes when the session is saved, which authenticates it as that user: the old token ends at
once, and the user's sessions can be listed and revoked.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

from .._tessera import Grant, Session
from .._web import Steps, arun, opening, run
from ..errors import ClosedError, ExpiredError, MissingError, NotLoggedInError, ReplacedError
from ._configured import engine

#: The field in which ``django.contrib.auth`` names the user.
USER_FIELD = "_auth_user_id"

_ENDED = (MissingError, ReplacedError, ExpiredError, ClosedError)


class SessionStore(SessionBase):
    """A session of Django.

    Concurrent saves are merged field by field, and no save brings back a session that was logged out. Lists and dicts that are
    changed in place are saved with the next save; ``modified`` decides, as in Django, whether the middleware saves.
    """

    def __init__(self, session_key: str | None = None, tokens: list[str] | None = None) -> None:
        """The session of a token, or of the only one of several that opens a session."""
        super().__init__(session_key)
        self._tokens = tokens
        self._opened: Session | None = None
        self._is_cycled = False

    # Reading.

    def _loading(self) -> Steps:
        tokens = self._tokens or [str(self.session_key)]
        found = yield from opening(engine(), tokens)
        if found.token is None:
            self._session_key = None
            return {}
        self._opened, self._session_key = found.session, found.token
        return dict(found.session.items())

    def load(self) -> dict[str, Any]:
        """Reads the session; an outage raises, and is no session that was logged out."""
        loaded: dict[str, Any] = run(self._loading())
        return loaded

    async def aload(self) -> dict[str, Any]:
        """As :meth:`load`."""
        loaded: dict[str, Any] = await arun(self._loading())
        return loaded

    # Writing.

    def _saving(self, data: dict[str, Any], must_create: bool) -> Steps:
        """Stores the fields: a login or a logout if the user has changed, and a save otherwise."""
        session, is_cycled = self._opened, self._is_cycled
        user = data.get(USER_FIELD)
        named = None if user is None or user == "" else str(user)
        is_new = must_create or session is None
        if session is None or is_new:
            session = engine().create()
        elif named is None and (is_cycled or session.subject is not None):
            # Another key without a user, or the end of a login: the old session ends, the fields go to a new one.
            yield session, "destroy", ()
            session, is_new = engine().create(), True
        _write(session, data)
        grant: Grant
        if named is not None and (is_cycled or is_new or named != session.subject):
            grant = yield session, "authenticate", (named, "everything")
        else:
            grant = yield session, "save", ()
        if grant.token is None and session.details().reissue_due:
            grant = yield session, "reissue", ()
        self._opened, self._is_cycled, self._tokens = session, False, None
        if grant.token is not None:
            self._session_key = grant.token

    def _forced(self, steps: Steps) -> Steps:
        try:
            yield from steps
        except _ENDED as error:
            # Django answers with 400: the session was deleted before the request was done.
            raise UpdateError from error

    def save(self, must_create: bool = False) -> None:
        """Stores the session. Raises ``UpdateError`` if it has ended meanwhile."""
        run(self._forced(self._saving(self._get_session(no_load=must_create), must_create)))

    async def asave(self, must_create: bool = False) -> None:
        """As :meth:`save`."""
        data = await self._aget_session(no_load=must_create)
        await arun(self._forced(self._saving(data, must_create)))

    def create(self) -> None:
        """Stores a new session."""
        self.save(must_create=True)
        self.modified = True

    async def acreate(self) -> None:
        """As :meth:`create`."""
        await self.asave(must_create=True)
        self.modified = True

    def cycle_key(self) -> None:
        """Lets the next save change the key, and keeps the fields."""
        self._get_session()
        self._is_cycled = self.modified = True

    async def acycle_key(self) -> None:
        """As :meth:`cycle_key`."""
        await self._aget_session()
        self._is_cycled = self.modified = True

    # Other sessions, and ends.

    def _existing(self, session_key: str) -> Steps:
        try:
            yield engine(), "open", (session_key,)
        except NotLoggedInError:
            return False
        return True

    def exists(self, session_key: str) -> bool:
        """Whether a token opens a session."""
        return bool(run(self._existing(session_key)))

    async def aexists(self, session_key: str) -> bool:
        """As :meth:`exists`."""
        return bool(await arun(self._existing(session_key)))

    def _deleting(self, session_key: str | None) -> Steps:
        session = self._opened
        if session_key is not None or session is None:
            key = self._session_key if session_key is None else session_key
            if key is None:
                return
            try:
                session = yield engine(), "open", (key,)
            except NotLoggedInError:
                return
        try:
            yield session, "destroy", ()
        except NotLoggedInError:
            # It has ended already.
            return

    def delete(self, session_key: str | None = None) -> None:
        """Ends a session: this one, or that of a token."""
        run(self._deleting(session_key))

    async def adelete(self, session_key: str | None = None) -> None:
        """As :meth:`delete`."""
        await arun(self._deleting(session_key))

    def flush(self) -> None:
        """Ends the session, and begins an empty one."""
        super().flush()
        self._forget()

    async def aflush(self) -> None:
        """As :meth:`flush`."""
        await super().aflush()
        self._forget()

    def _forget(self) -> None:
        self._opened, self._tokens, self._is_cycled = None, None, False

    @classmethod
    def clear_expired(cls) -> None:
        """Does nothing: stores remove what has expired by themselves."""

    @classmethod
    async def aclear_expired(cls) -> None:
        """As :meth:`clear_expired`."""

    # Upkeep, for the middleware.

    @property
    def _is_renewal_due(self) -> bool:
        if self._opened is None:
            return False
        details = self._opened.details()
        return details.renew_due or details.reissue_due

    def _touch(self) -> None:
        if self._opened is not None and self._opened.details().touch_due:
            self._opened.touch()


def _write(session: Session, data: dict[str, Any]) -> None:
    """Sets the fields that differ, and removes those that are gone."""
    absent = object()
    changes = {}
    for name, value in data.items():
        before = session.get(name, absent)
        # A list or dict that is the same object is compared by the session itself.
        if before is not value and (type(before) is not type(value) or before != value):
            changes[name] = value
    if changes:
        session.update(changes)
    for name in set(session) - set(data):
        del session[name]


__all__ = ["CreateError", "SessionStore", "UpdateError"]
