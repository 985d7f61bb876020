"""The extension module."""

from collections.abc import Coroutine, Generator, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, final, overload

_T = TypeVar("_T")
# Inside of `Engine`, `list` is a method.
_KeyList = list[tuple[str, bytes]]
_T_co = TypeVar("_T_co", covariant=True)

def component() -> str: ...
def begin_end() -> None:
    """Begins the end of the process: all waits together take five seconds at most."""

def end() -> None:
    """Prepares the end of the process: waits for the writes that calls have begun, for some seconds at most."""

@final
class Call(Coroutine[Any, Any, _T_co], Generic[_T_co]):
    def __iter__(self) -> Call[_T_co]: ...
    def __next__(self) -> Any: ...
    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, error: Any, value: Any = ..., traceback: Any = ..., /) -> Any: ...
    def close(self) -> None: ...

@final
class Clock:
    """A clock that stands still until it is set, for tests of expiry. Times are in milliseconds since 1970."""

    def __new__(cls, milliseconds: int) -> Clock: ...
    @property
    def milliseconds(self) -> int: ...
    def set(self, milliseconds: int) -> None: ...
    def advance(self, milliseconds: int) -> None:
        """Lets this many milliseconds pass."""

@final
class Grant:
    """The result of a write that the client needs."""

    @property
    def token(self) -> str | None:
        """The token to hand out, if the client needs a new one."""
    @property
    def expires_at(self) -> datetime:
        """Idle expiry: when the session ends unless it is used."""
    @property
    def ends_at(self) -> datetime:
        """Absolute end of the session, regardless of use."""
    def _milliseconds(self) -> tuple[int, int]: ...

@final
class Details:
    """The known state of a session, without the store."""

    @property
    def status(self) -> Literal["draft", "live", "closed"]:
        """``draft``: never saved; ``live``: stored, as far as is known; ``closed``: destroyed, or found ended."""
    @property
    def public_id(self) -> str:
        """A hash of the session's id, safe for logs and pages; empty for a draft."""
    @property
    def subject(self) -> str | None:
        """The subject of the session, if it has logged in."""
    @property
    def created_at(self) -> datetime:
        """When the session was created."""
    @property
    def authenticated_at(self) -> datetime | None:
        """When the subject last authenticated (login or step-up)."""
    @property
    def expires_at(self) -> datetime:
        """Idle expiry: when the session ends unless it is used."""
    @property
    def ends_at(self) -> datetime:
        """Absolute end of the session, regardless of use."""
    @property
    def generation(self) -> int:
        """The counter of the token's generation."""
    @property
    def touch_due(self) -> bool:
        """Whether ``touch`` would write."""
    @property
    def renew_due(self) -> bool:
        """Whether ``save`` would renew the token."""
    @property
    def reissue_due(self) -> bool:
        """Whether the token is a JWT past half of its lifetime."""
    @property
    def modified(self) -> bool:
        """Whether there are unsaved changes."""
    def _milliseconds(self) -> tuple[int, int | None, int, int]: ...

@final
class Claims:
    """The claims of a token that was verified without the store."""

    @property
    def public_id(self) -> str:
        """A hash of the session's id."""
    @property
    def generation(self) -> int:
        """The counter of the token's generation."""
    @property
    def issued_at(self) -> datetime:
        """When the token was issued."""
    @property
    def expires_at(self) -> datetime:
        """The token is refused from this moment on."""
    @property
    def subject(self) -> str | None:
        """JWT only: the subject."""
    @property
    def data(self) -> dict[str, str]:
        """JWT only: the ``data`` claim."""
    def _milliseconds(self) -> tuple[int, int]: ...

@final
class SessionSummary:
    """One session of a subject, for a page "your devices"."""

    @property
    def public_id(self) -> str:
        """A hash of the session's id, by which the session can be revoked."""
    @property
    def created_at(self) -> datetime:
        """When the session was created."""
    @property
    def authenticated_at(self) -> datetime:
        """When the subject last authenticated; the creation where it never did."""
    @property
    def last_seen_at(self) -> datetime:
        """When the session was last written or touched."""
    @property
    def expires_at(self) -> datetime:
        """Idle expiry: when the session ends unless it is used."""
    @property
    def ends_at(self) -> datetime:
        """Absolute end of the session, regardless of use."""
    @property
    def current(self) -> bool:
        """Whether it is the session that the caller named as its own."""
    @property
    def fields(self) -> dict[str, Any]:
        """The session's fields that are in the policy's ``public_fields``."""
    def _milliseconds(self) -> tuple[int, int, int, int, int]: ...

@final
class SessionPage:
    """One page of a subject's sessions."""

    @property
    def items(self) -> tuple[SessionSummary, ...]:
        """The sessions, the newest last."""
    @property
    def next(self) -> str | None:
        """The cursor of the next page; ``None`` on the last page."""

@final
class Session:
    """One session: a mapping of field names to values, which is read and changed in memory and stored by explicit calls.

    A value is None, a bool, an int of 64 bits, a float, a str or bytes, or a list or dict of these without bytes. Tuples become
    lists. A list or dict that is changed in place is stored with the next save.

    Usable from several threads. While a call that needs the store runs, every other call on the same object raises
    :class:`~tessera.errors.BusyError`; a second object from :meth:`fork`, or from opening the token again, is independent.
    """

    def __getitem__(self, name: str, /) -> Any: ...
    def __setitem__(self, name: str, value: Any, /) -> None: ...
    def __delitem__(self, name: str, /) -> None: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def keys(self) -> KeysView[str]: ...
    def values(self) -> ValuesView[Any]: ...
    def items(self) -> ItemsView[str, Any]: ...
    @overload
    def get(self, name: str, /) -> Any | None: ...
    @overload
    def get(self, name: str, default: _T, /) -> Any | _T: ...
    def pop(self, name: str, /, *default: Any) -> Any: ...
    def popitem(self) -> tuple[str, Any]: ...
    def setdefault(self, name: str, default: Any = None, /) -> Any: ...
    def update(
        self, changes: Mapping[str, Any] | Iterable[tuple[str, Any]] = ..., /, **more: Any
    ) -> None:
        """Sets several fields, all or none."""
    def clear(self) -> None: ...
    def entries_json(self) -> str:
        """All fields as one JSON object. Bytes and integers beyond 53 bits have the form ``{"$t": [kind, content]}``."""
    @property
    def subject(self) -> str | None:
        """The subject that the session is authenticated as."""
    @property
    def public_id(self) -> str:
        """A hash of the session's id, safe for logs and pages; empty for a draft."""
    @property
    def modified(self) -> bool:
        """Whether there are changes to save."""
    @property
    def granted(self) -> Grant | None:
        """The last grant with a token that a call on this object has returned."""
    def details(self) -> Details:
        """The session's details, without the store."""
    def fork(self) -> Session:
        """A second, independent object over the same session, with a copy of the unsaved changes."""
    def save(self) -> Grant:
        """Stores the changes, merged with concurrent saves, and renews the token if a renewal is due.

        A draft becomes a stored session and receives its token.
        """
    def asave(self) -> Call[Grant]:
        """As :meth:`save`."""
    def rotate(self) -> Grant:
        """Stores the changes and renews the token."""
    def arotate(self) -> Call[Grant]:
        """As :meth:`rotate`."""
    def authenticate(
        self, subject: str, keep: Literal["nothing", "everything"] | Iterable[str] | None = None
    ) -> Grant:
        """Logs a subject in. The old token becomes invalid at once, and the absolute timeout restarts.

        The stored fields are dropped, except those of ``keep``; fields set since the session was opened are stored.
        """
    def aauthenticate(
        self, subject: str, keep: Literal["nothing", "everything"] | Iterable[str] | None = None
    ) -> Call[Grant]:
        """As :meth:`authenticate`."""
    def reissue(self) -> Grant:
        """Issues the session's token again, with a new time of issue and without a write to the store."""
    def areissue(self) -> Call[Grant]:
        """As :meth:`reissue`."""
    def touch(self) -> bool:
        """Extends the idle expiry and confirms a renewed token, if either is due; returns whether it wrote."""
    def atouch(self) -> Call[bool]:
        """As :meth:`touch`."""
    def standing(self) -> datetime:
        """The moment until which the session lives unless it is used, by the stored record."""
    def astanding(self) -> Call[datetime]:
        """As :meth:`standing`."""
    def destroy(self) -> None:
        """Ends the session in the store, and closes this object. A session that has ended already is no error."""
    def adestroy(self) -> Call[None]:
        """As :meth:`destroy`."""
    def csrf_token(self) -> str:
        """Creates a token against cross-site request forgery, bound to this session until its next authentication."""
    def check_csrf_token(self, token: str) -> None:
        """Verifies a token from :meth:`csrf_token`; raises :class:`~tessera.errors.InvalidCsrfTokenError`."""
    def _update_typed(self, changes: list[tuple[str, tuple[str, Any] | None]]) -> None: ...
    def _typed(self) -> list[tuple[str, str, Any]]: ...
    def _get_typed(self, name: str) -> tuple[str, Any] | None: ...

class Engine:
    def __new__(
        cls,
        store: object,
        *,
        keys: _KeyList,
        policy: str = "{}",
        preset: str | None = None,
        clock: Clock | None = None,
        remembered_sessions: int | None = None,
        queue_places: int | None = None,
        instances: int | None = None,
    ) -> Any: ...
    def create(self) -> Session:
        """Creates a draft: an empty session that is not stored until it is saved."""
    def open(self, token: str) -> Session:
        """Opens the session that a token names. Every call reads the store."""
    def aopen(self, token: str) -> Call[Session]:
        """As :meth:`open`."""
    def list(self, subject: str, *, current: str | None = None, cursor: str | None = None) -> SessionPage:
        """Lists one page of a subject's live sessions. ``current`` is the public id of the caller's own session."""
    def alist(
        self, subject: str, *, current: str | None = None, cursor: str | None = None
    ) -> Call[SessionPage]:
        """As :meth:`list`."""
    def revoke(self, subject: str, public_id: str) -> bool:
        """Ends the session of a subject with this public id; returns whether it existed."""
    def arevoke(self, subject: str, public_id: str) -> Call[bool]:
        """As :meth:`revoke`."""
    def revoke_all(self, subject: str) -> int:
        """Ends every session of a subject, and returns their number."""
    def arevoke_all(self, subject: str) -> Call[int]:
        """As :meth:`revoke_all`."""
    def revoke_others(self, session: Session) -> int:
        """Ends every other session of this session's subject, and returns their number."""
    def arevoke_others(self, session: Session) -> Call[int]:
        """As :meth:`revoke_others`."""
    def jwt_key(self, key_id: str) -> bytes:
        """The HS256 key derived from a signing key, for a gateway that verifies JWTs itself."""
    @property
    def signing_key_id(self) -> str:
        """The id of the key that signs new tokens."""
    @property
    def store_kind(self) -> Literal["memory", "sqlite", "redis", "sql", "cached", "own"]:
        """The kind of the store."""
    def close(self) -> None:
        """Completes the begun and queued writes and closes the store. Afterwards, calls that need the store fail."""
    def _policy(self) -> str: ...
    def _now(self) -> int: ...
    def _verify(self, token: str, max_age_milliseconds: int | None = None) -> Claims: ...
    def _replace_keys(self, keys: _KeyList) -> None: ...

@final
class OpenedStore:
    def __new__(cls, url: str) -> OpenedStore: ...
    def capabilities(self) -> str: ...
    def call(self, now: int, operation: str) -> str: ...
    def close(self) -> None: ...

@final
class Reply:
    def deliver(self, reply: str) -> None: ...
