"""The session of one request, for all frameworks: opened by its cookie, and saved before the response leaves."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Literal, NamedTuple, Union, cast

from ._engine import Tessera
from ._opening import Opened
from ._steps import Steps, arun, run
from ._tessera import Details, Grant, Session, SessionPage
from .cookies import Cookie
from .errors import BusyError, ClosedError, DraftError, InvalidArgumentError, InvalidValueError, SessionError

log = logging.getLogger("tessera")

_MAXIMUM_FLASHES = 16
_FLASH = "_flash."

#: The errors of calls that have not reached the store. They leave the session as it was.
_REFUSALS = (BusyError, InvalidArgumentError, InvalidValueError, TypeError)

Keep = Union[Literal["nothing", "everything"], Iterable[str]]


class Finished(NamedTuple):
    """The headers of a login or logout, also if a later save has failed, and that failure."""

    headers: list[tuple[str, str]]
    error: SessionError | None


class RequestSession(MutableMapping[str, Any]):
    """The session of a request: a mapping of field names to values.

    A request without a token, or with a token that opens no session, gets an empty draft. A draft is stored, and its token handed
    out, only if a field was set. Changes are saved before the response leaves, unless it is a server error (5xx) or the last
    storing call failed. A call that an argument, a value or another call has kept from the store does not count. After ``destroy``
    the session is an empty draft again.

    Once the response has left, the session can be read, and every change raises :class:`~tessera.errors.ClosedError`.
    """

    __slots__ = (
        "_accessed",
        "_engine",
        "_failed",
        "_left",
        "_session",
        "_state",
        "_token",
        "_update",
        "_user",
        "_user_field",
    )

    def __init__(self, engine: Tessera, opened: Opened, user_field: str | None = None) -> None:
        """The session that was opened for a request, and the field in which a framework names the user."""
        self._engine = engine
        self._session = opened.session
        self._state = opened.state
        self._token = opened.token
        self._update: Grant | Literal["ended"] | None = None
        self._failed = self._left = self._accessed = False
        self._user_field = user_field
        #: The user that the field named at the beginning of the request, or after the last login or logout by a call.
        self._user = self._named()

    # The mapping.

    def __getitem__(self, name: str) -> Any:
        """The value of a field; raises ``KeyError``."""
        return self._read()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Sets a field."""
        self._change()[name] = value

    def __delitem__(self, name: str) -> None:
        """Removes a field; raises ``KeyError``."""
        del self._change()[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the fields."""
        return iter(self._read())

    def __len__(self) -> int:
        """The number of fields."""
        return len(self._read())

    def __contains__(self, name: object) -> bool:
        """Whether there is a field of this name."""
        return name in self._read()

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field, or the default."""
        return self._read().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        """Removes a field and returns its value."""
        return self._change().pop(name, *default)

    def update(self, changes: Any = (), /, **more: Any) -> None:
        """Sets several fields, all or none."""
        self._change().update(changes, **more)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The value of a field, which is set to the default if it is absent."""
        return self._change().setdefault(name, default)

    def clear(self) -> None:
        """Removes all fields."""
        self._change().clear()

    def __repr__(self) -> str:
        """The session without its fields."""
        return repr(self._session)

    def _read(self) -> Session:
        self._accessed = True
        return self._session

    def _change(self) -> Session:
        self._accessed = True
        if self._left:
            raise ClosedError("the response has left: a change of the session would be lost")
        return self._session

    # What is known without the store.

    @property
    def token_state(self) -> str:
        """``live``, ``absent``, or the kind of error for which the token that the request carried opens no session."""
        self._accessed = True
        return self._state

    @property
    def token(self) -> str | None:
        """The token that the client has once it has received the response. It opens the session for anyone who holds it."""
        self._accessed = True
        return self._token

    @property
    def subject(self) -> str | None:
        """The subject that is logged in."""
        return self._read().subject

    @property
    def modified(self) -> bool:
        """Whether there are changes to save."""
        return self._session.modified

    def details(self) -> Details:
        """The session's details."""
        return self._read().details()

    def csrf_token(self) -> str:
        """A token against cross-site request forgery, bound to this session; empty for a draft."""
        try:
            return self._read().csrf_token()
        except DraftError:
            return ""

    def check_csrf_token(self, token: str) -> None:
        """Raises :class:`~tessera.errors.InvalidCsrfTokenError` if the token is not one of this session."""
        self._read().check_csrf_token(token)

    def flash(self, message: str) -> None:
        """Leaves a message for the next page that calls :meth:`take_flash`. Beyond 16, the oldest is dropped."""
        session = self._change()
        waiting = sorted(name for name in session if name.startswith(_FLASH))
        for name in waiting[: max(0, len(waiting) + 1 - _MAXIMUM_FLASHES)]:
            del session[name]
        # One field for each message, so that two concurrent requests lose none.
        session[f"{_FLASH}{self._engine._now():015}.{secrets.token_hex(4)}"] = message

    def take_flash(self) -> list[str]:
        """Takes the messages that :meth:`flash` has left, oldest first. Each is returned once."""
        session = self._change()
        return [session.pop(name) for name in sorted(name for name in session if name.startswith(_FLASH))]

    # Calls that need the store.

    def save(self) -> None:
        """Stores the changes now instead of when the response leaves."""
        run(self._granting("save"))

    async def asave(self) -> None:
        """As :meth:`save`."""
        await arun(self._granting("save"))

    def rotate(self) -> None:
        """Saves, and renews the token."""
        run(self._granting("rotate"))

    async def arotate(self) -> None:
        """As :meth:`rotate`."""
        await arun(self._granting("rotate"))

    def authenticate(self, subject: str, keep: Keep = "nothing") -> None:
        """Logs a subject in. The old token ends at once; fields that were set in this request are kept, and those of ``keep``."""
        run(self._authenticating(subject, keep))

    async def aauthenticate(self, subject: str, keep: Keep = "nothing") -> None:
        """As :meth:`authenticate`."""
        await arun(self._authenticating(subject, keep))

    def destroy(self) -> None:
        """Logs out: ends the session, and removes the token from the client. A later change starts a new session."""
        run(self._destroying())

    async def adestroy(self) -> None:
        """As :meth:`destroy`."""
        await arun(self._destroying())

    def devices(self, cursor: str | None = None) -> SessionPage | None:
        """One page of the sessions of this session's subject; ``None`` if nobody is logged in."""
        details = self.details()
        if details.subject is None:
            return None
        return self._engine.list(details.subject, current=details.public_id, cursor=cursor)

    async def adevices(self, cursor: str | None = None) -> SessionPage | None:
        """As :meth:`devices`."""
        details = self.details()
        if details.subject is None:
            return None
        return await self._engine.alist(details.subject, current=details.public_id, cursor=cursor)

    def _storing(self, method: str, *arguments: Any) -> Steps:
        session = self._change()
        if method != "destroy":
            # It takes over the changes in lists and dicts. If that raises, the call has not reached the store.
            _ = session.modified
        had_failed = self._failed
        # Also a call that is cancelled has failed.
        self._failed = True
        try:
            result = yield session, method, arguments
        except _REFUSALS:
            self._failed = had_failed
            raise
        self._failed = False
        return result

    def _granting(self, method: str, *arguments: Any) -> Steps:
        grant = yield from self._storing(method, *arguments)
        self._note(grant)

    def _authenticating(self, subject: str, keep: Any) -> Steps:
        if isinstance(keep, Iterable) and not isinstance(keep, str):
            # What an iterator raises does not come from the store.
            keep = list(cast("Iterable[object]", keep))
        yield from self._granting("authenticate", subject, keep)
        try:
            self._user = self._named()
        except SessionError:
            # Another thread uses the session already.
            self._user = None

    def _destroying(self) -> Steps:
        yield from self._storing("destroy")
        self._update, self._token, self._user = "ended", None, None
        self._session = self._engine.create()

    def _named(self) -> str | None:
        """The user that the field names."""
        if self._user_field is None:
            return None
        value = self._session.get(self._user_field)
        return None if value is None or value == "" else str(value)

    def following(self, status: int) -> Steps:
        """Logs the subject in that a framework has put into the user's field, or out if it has removed it from there.

        After a failed call, and with a server error, nobody is logged in. A logout ends the session in any case, and so does
        another user in the field.
        """
        session, is_stored = self._session, status < 500 and not self._failed
        try:
            named, subject = self._named(), session.subject
        except ClosedError:
            if self._failed:
                # The call has found that the session has ended.
                return
            raise
        if named is not None:
            if named == subject or (named == self._user and subject is not None):
                return
            # A session that names a user is authenticated as one, however it came to that.
            if is_stored:
                try:
                    yield from self._granting("authenticate", named, "everything")
                except SessionError as error:
                    if self._user not in (None, named):
                        yield from self._ending(error)
                    raise
                return
        if self._user is None or named == self._user:
            return
        fields = dict(session.items()) if is_stored else {}
        if self._failed and status < 500:
            self._warn_of_losses()
        yield from self._destroying()
        if fields:
            self._session.update(fields)

    def _ending(self, error: SessionError) -> Steps:
        """Ends the session of a user in whose place another one could not be logged in for this error."""
        try:
            yield from self._destroying()
        except SessionError as second:
            log.warning("a session was not ended after the error %s: %s", error.kind, second.kind)

    def _note(self, grant: Grant) -> None:
        if grant.token is not None:
            self._update, self._token = grant, grant.token

    # The response.

    def finishing(self, status: int, cookie: Cookie) -> Steps:
        """Stores pending changes, renews and touches the session, and returns what the response needs."""
        self._left, error = True, None
        if self._accessed and status < 500:
            if self._failed:
                self._warn_of_losses()
            else:
                try:
                    yield from self._keeping()
                except SessionError as failed:
                    error = failed
        headers: list[tuple[str, str]] = []
        if self._update == "ended":
            headers += [("set-cookie", removal) for removal in cookie.remove_twins()]
            headers.append(("set-cookie", cookie.remove()))
        elif self._update is not None and self._update.token is not None:
            headers += [("set-cookie", removal) for removal in cookie.remove_twins()]
            remaining = self._update._milliseconds()[1] - self._engine._now()
            headers.append(("set-cookie", cookie.set(self._update.token, remaining)))
        if self._update is not None:
            headers.append(("cache-control", "no-store"))
        return Finished(headers, error)

    @property
    def accessed(self) -> bool:
        """Whether the response depends on the session."""
        return self._accessed

    @property
    def has_news(self) -> bool:
        """Whether the client has to learn of a new token, or of the end of its own."""
        return self._update is not None

    @classmethod
    def unusable(cls, engine: Tessera, error: SessionError) -> RequestSession:
        """An empty session in place of one that could not be opened. It is not stored."""
        session = cls(engine, Opened(engine.create(), error.kind, None))
        session._failed = True
        return session

    def _warn_of_losses(self) -> None:
        try:
            has_changes = self._session.modified
        except SessionError:
            # A call that was cancelled may still use the session.
            has_changes = True
        if has_changes:
            log.warning("changes of a session are not stored, because the last call of the store has failed")

    def _keeping(self) -> Steps:
        session = self._session
        due = session.details()
        if due.modified:
            self._note((yield session, "save", ()))
            # A save that had nothing to write has not extended the idle expiry.
            due = session.details()
        elif due.renew_due:
            try:
                self._note((yield session, "save", ()))
            except SessionError as error:
                _spare(error, "renewed")
            due = session.details()
        if due.reissue_due and self._update is None:
            try:
                self._note((yield session, "reissue", ()))
            except SessionError as error:
                _spare(error, "reissued")
        if due.touch_due:
            try:
                yield session, "touch", ()
            except SessionError as error:
                _spare(error, "touched")


def _spare(error: SessionError, what: str) -> None:
    """Logs a failed upkeep call. The request was served nevertheless, and the next one tries again."""
    log.warning("a session was not %s: %s", what, error.kind)
