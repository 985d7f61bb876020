"""The session engine of Django over Tessera: ``SESSION_ENGINE = "tessera.django.sessions"``.

The session key is the token. A login is what Django's ``login`` does: it changes the key, and names the user in
``_auth_user_id``. Here, the key changes when the session is saved, which authenticates it as that user: the old token ends at
once, and the user's sessions can be listed and revoked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

from .._opening import log, opening
from .._steps import Steps, arun, run
from .._tessera import Grant, Session
from .._times import EPOCH, milliseconds
from ..errors import ClosedError, ExpiredError, MissingError, NotLoggedInError, ReplacedError, SessionError
from ._configured import engine

#: The field in which ``django.contrib.auth`` names the user.
USER_FIELD = "_auth_user_id"

#: The field with the moment at which ``set_expiry`` ends the session. Views do not see it.
_UNTIL = "_tessera_until"
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
        #: The user when the session was loaded or saved.
        self._user: object = None
        #: The failure to load it.
        self._error: SessionError | None = None

    # Reading.

    def _finding(self) -> Steps:
        """Opens the session, unless it is open. Raises the same outage again, without another call of the store."""
        if self._error is not None:
            raise self._error
        if self._opened is not None or self.session_key is None:
            return
        try:
            found = yield from opening(engine(), self._tokens or [str(self.session_key)])
        except SessionError as error:
            self._error = error
            raise
        session: Session = found.session
        if found.token is not None and _has_passed(session):
            yield session, "destroy", ()
            found.token = None
        self._session_key = found.token
        if found.token is not None:
            self._opened, self._user = session, session.get(USER_FIELD)

    def _loading(self) -> Steps:
        if self._opened is not None and hasattr(self, "_session_cache"):
            # The next save compares the fields that are being changed with the session that they come from.
            beside = type(self)(self.session_key)
            loaded = yield from beside._loading()
            self._session_key = beside.session_key
            return loaded
        self._opened = None
        yield from self._finding()
        return {} if self._opened is None else _fields(self._opened)

    def load(self) -> dict[str, Any]:
        """Reads the session from the store; an outage raises, and is no session that was logged out."""
        loaded: dict[str, Any] = run(self._loading())
        return loaded

    async def aload(self) -> dict[str, Any]:
        """As :meth:`load`."""
        loaded: dict[str, Any] = await arun(self._loading())
        return loaded

    def clear(self) -> None:
        """Removes all fields. The session and its login go on; ``flush`` ends them."""
        self._get_session().clear()
        self.modified = True

    # Writing.

    def _saving(self, data: dict[str, Any], must_create: bool) -> Steps:
        """Stores the fields: a login or a logout if the user has changed, and a save otherwise."""
        if must_create:
            self._opened, self._user = None, None
        else:
            yield from self._finding()
        session = engine().create() if self._opened is None else self._opened
        user = data.get(USER_FIELD)
        named = None if user is None or user == "" else str(user)
        subject = session.subject
        if named is None and (self._user is not None or (self._is_cycled and subject is None)):
            # The end of a login, or another key without a user: the old session ends, the fields go to a new one.
            if self._opened is not None:
                yield session, "destroy", ()
            session, subject = engine().create(), None
        _write(session, data)
        grant: Grant
        if named is not None and (self._is_cycled or named != subject):
            grant = yield session, "authenticate", (named, "everything")
        elif self._is_cycled and subject is not None:
            grant = yield session, "authenticate", (subject, "everything")
        else:
            grant = yield session, "save", ()
        self._opened, self._is_cycled, self._tokens, self._user = session, False, None, user
        self._note(grant)
        # A save merges: what others have changed meanwhile must not be changed back by the next one. A list or dict of the view
        # that is stored as it is stays the field, so that the next save finds what the view changes in it.
        stored = _fields(session)
        kept = {name: data[name] for name, value in stored.items() if name in data and not _differs(data[name], value)}
        data.clear()
        data.update(stored | kept)

    def _note(self, grant: Grant) -> None:
        if grant.token is not None:
            # Only a session that counts as modified has its cookie sent.
            self._session_key, self.modified = grant.token, True

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

    async def acreate(self) -> None:
        """As :meth:`create`."""
        await self.asave(must_create=True)

    def cycle_key(self) -> None:
        """Lets the next save change the key, and keeps the fields."""
        self._get_session()
        self._is_cycled = self.modified = True

    async def acycle_key(self) -> None:
        """As :meth:`cycle_key`."""
        await self._aget_session()
        self._is_cycled = self.modified = True

    # Other sessions, and ends.

    def _existing(self, session_key: str | None) -> Steps:
        if not session_key:
            return False
        try:
            session = yield engine(), "open", (session_key,)
        except NotLoggedInError:
            return False
        return not _has_passed(session)

    def exists(self, session_key: str | None) -> bool:
        """Whether a token opens a session."""
        return bool(run(self._existing(session_key)))

    async def aexists(self, session_key: str | None) -> bool:
        """As :meth:`exists`."""
        return bool(await arun(self._existing(session_key)))

    def _deleting(self, session_key: str | None) -> Steps:
        if session_key is None:
            yield from self._finding()
            session = self._opened
        else:
            found = yield from opening(engine(), [session_key])
            session = None if found.token is None else found.session
        if session is not None:
            try:
                yield session, "destroy", ()
            except (MissingError, ExpiredError, ClosedError):
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
        # Otherwise, `clear` would read the session by a call that blocks.
        await self._aget_session()
        await super().aflush()
        self._forget()

    def _forget(self) -> None:
        self._opened, self._tokens, self._is_cycled, self._user = None, None, False, None

    @classmethod
    def clear_expired(cls) -> None:
        """Does nothing: stores remove what has expired by themselves."""

    @classmethod
    async def aclear_expired(cls) -> None:
        """As :meth:`clear_expired`."""

    # Upkeep, for the middleware.

    def _upkeep(self) -> bool:
        """Renews and touches the session where due; returns whether it has another key. No failure is one of the request."""
        session = self._opened
        if session is None:
            return False
        before = self._session_key
        calls = (("renew_due", session.save), ("reissue_due", session.reissue), ("touch_due", session.touch))
        try:
            for due, call in calls:
                if getattr(session.details(), due):
                    done = call()
                    if isinstance(done, Grant):
                        self._note(done)
        except SessionError as error:
            log.warning("a session was not kept: %s", error.kind)
        return bool(self._session_key != before)


def _fields(session: Session) -> dict[str, Any]:
    return {name: value for name, value in session.items() if name != _UNTIL}


def _until(data: dict[str, Any]) -> int | None:
    """The moment at which ``set_expiry`` ends the session, in milliseconds since 1970."""
    expiry = data.get("_session_expiry")
    if isinstance(expiry, str):
        end = datetime.fromisoformat(expiry)
        # Without USE_TZ, moments are in local time, and have no time zone.
        return milliseconds((end.astimezone() if end.tzinfo is None else end) - EPOCH)
    return engine()._now() + milliseconds(expiry) if expiry else None


def _has_passed(session: Session) -> bool:
    """Whether the moment at which ``set_expiry`` ends the session has passed."""
    until = session.get(_UNTIL)
    return isinstance(until, int) and until <= engine()._now()


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are written alike: ``==`` takes True for 1 and for 1.0, and ignores the order of a dict."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    # Zero has a sign.
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


def _differs(before: Any, value: Any) -> bool:
    try:
        return not _is_same(before, value)
    except RecursionError:
        # The session refuses a value that is nested so deeply.
        return True


def _write(session: Session, data: dict[str, Any]) -> None:
    """Sets the fields that differ, and removes those that are gone."""
    absent = object()
    until = _until(data)
    wanted = data if until is None else {**data, _UNTIL: until}
    changes: dict[str, Any] = {}
    for name, value in wanted.items():
        before = session.get(name, absent)
        # A list or dict that is the same object is compared by the session itself.
        if before is not value and _differs(before, value):
            changes[name] = value
    if changes:
        session.update(changes)
    for name in set(session) - set(wanted):
        del session[name]


__all__ = ["CreateError", "SessionStore", "UpdateError"]
