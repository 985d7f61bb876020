"""Stores: those with a URL, and the classes for a store of your own.

A store of your own is a subclass of :class:`Store`, whose methods block, or of :class:`AsyncStore`, whose methods are coroutines.
``wit/store.wit`` states what each method guarantees. The conformance suite of the project checks a store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Union

__all__ = [
    "AsyncStore",
    "Capabilities",
    "Corrupt",
    "Deletion",
    "Entry",
    "Full",
    "IfGuard",
    "IfOwner",
    "IfVersion",
    "MalformedCursor",
    "Missing",
    "OutcomeUnknown",
    "Page",
    "Placement",
    "Row",
    "Stale",
    "Store",
    "StoreError",
    "Throttled",
    "TooLarge",
    "Unavailable",
    "Unsupported",
    "check_batch",
    "check_limit",
]

#: Times are in milliseconds since 1970.
Milliseconds = int


class StoreError(Exception):
    """A store failed: the case ``other`` of ``wit/store.wit``. The text must have no key, value or secret."""

    tag = "other"


class Missing(StoreError):
    """No live entry has this key."""

    tag = "missing"


class Stale(StoreError):
    """An entry exists, and does not meet the condition of the write."""

    tag = "stale"


class TooLarge(StoreError):
    """The key, the owner or the value exceeds the store's maximum length."""

    tag = "too-large"


class Full(StoreError):
    """The store has no room; nothing was written."""

    tag = "full"


class Throttled(StoreError):
    """Rate limited: retry after this long; nothing was written."""

    tag = "throttled"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(f"rate limited; retry after {retry_after}")
        self.retry_after = retry_after


class Unsupported(StoreError):
    """The store does not support this operation."""

    tag = "unsupported"


class MalformedCursor(StoreError):
    """The cursor was not returned by this store."""

    tag = "malformed-cursor"


class Corrupt(StoreError):
    """The stored entry cannot be read."""

    tag = "corrupt"


class OutcomeUnknown(StoreError):
    """A write was sent and its reply was lost: it may have been applied."""

    tag = "outcome-unknown"


class Unavailable(StoreError):
    """The store cannot be reached; nothing was written."""

    tag = "unavailable"


@dataclass(frozen=True)
class Capabilities:
    """The guarantees of a store. The engine refuses a policy that needs more.

    The defaults are those of a store that guarantees nothing.
    """

    #: Whether ``insert`` and ``replace`` compare and write in one atomic step.
    compare_and_swap: bool = False
    #: Whether ``list_owned`` works.
    list_by_owner: bool = False
    #: Whether an acknowledged write survives the loss of one server.
    acknowledged_writes_survive_failover: bool = False
    #: The maximum age of a result of ``get`` without ``fresh``; 0: always current.
    maximum_staleness: timedelta = timedelta(0)
    #: The maximum delay until ``list_owned`` lists a record.
    index_staleness: timedelta = timedelta(0)
    #: The minimum lifetime of an entry.
    minimum_ttl: timedelta = timedelta(0)
    #: The resolution with which the store itself keeps ``expires_at``.
    expiry_resolution: timedelta = timedelta(milliseconds=1)
    #: The minimum interval between two writes to one key.
    minimum_write_interval: timedelta = timedelta(0)
    #: The maximum length of a key, in bytes of UTF-8.
    maximum_key_bytes: int = 512
    #: The maximum length of an owner, in bytes.
    maximum_owner_bytes: int = 512
    #: The maximum length of a value, in bytes.
    maximum_value_bytes: int = 1 << 20

    def check_sizes(self, key: str, value: str, at: Placement) -> None:
        """Raises :class:`TooLarge` for a write whose key, value or owner is longer than the maximum."""
        lengths = (
            (key, self.maximum_key_bytes),
            (value, self.maximum_value_bytes),
            (at.owner or "", self.maximum_owner_bytes),
        )
        if any(len(text.encode()) > maximum for text, maximum in lengths):
            raise TooLarge


@dataclass(frozen=True)
class Entry:
    """A stored record."""

    value: str
    #: Changes with every ``insert`` and ``replace``, and is never reused for one key. At most 64 bits.
    version: int
    #: Changes only with a write whose :class:`Placement` brings a new guard.
    guard: int
    #: The entry is missing from this moment on.
    expires_at: Milliseconds


@dataclass(frozen=True)
class Placement:
    """The owner, guard and lifetime of a written record."""

    owner: str | None
    previous_owner: str | None
    #: The new guard; ``None`` keeps the existing guard, which is 0 where no entry exists.
    guard: int | None
    expires_at: Milliseconds
    ends_at: Milliseconds


@dataclass(frozen=True)
class Row:
    """One row of an owner's index."""

    key: str
    version: int
    guard: int
    touched_at: Milliseconds
    expires_at: Milliseconds
    value: str | None = None


@dataclass(frozen=True)
class Page:
    """One page of an owner's index; ``next`` is the cursor of the next page."""

    rows: Sequence[Row] = ()
    next: str | None = None


@dataclass(frozen=True)
class IfVersion:
    """The entry with this version."""

    version: int


@dataclass(frozen=True)
class IfGuard:
    """The entry with this guard."""

    guard: int


@dataclass(frozen=True)
class IfOwner:
    """An entry of this owner."""

    owner: str


@dataclass(frozen=True)
class Deletion:
    """One entry that ``delete_many`` removes; only while it has this guard, if there is one."""

    key: str
    guard: int | None = None


Expected = Union[IfVersion, IfGuard]
Condition = Union[IfOwner, IfGuard]


#: The maximum number of keys of one ``get_many`` or ``delete_many``, and of rows of one page.
BATCH_LIMIT = 100


def check_batch(items: Sequence[object]) -> None:
    """Raises :class:`StoreError` for more keys or deletions than a store takes at once."""
    if len(items) > BATCH_LIMIT:
        raise StoreError("more than 100 keys at once")


def check_limit(limit: int) -> None:
    """Raises :class:`StoreError` for a page of no rows, or of more than a store returns at once."""
    if not 1 <= limit <= BATCH_LIMIT:
        raise StoreError("a page has 1 to 100 rows")


class Store(ABC):
    """A store whose methods may block. They are called from several threads.

    A method must not use the engine that it is the store of.
    """

    #: Whether no method ever waits, as in a dict: the engine then calls it without a second pass.
    is_immediate: bool = False

    @abstractmethod
    def describe(self) -> Capabilities:
        """The guarantees of the store."""

    @abstractmethod
    def get(self, now: Milliseconds, key: str, fresh: bool) -> Entry:
        """Reads the entry of a key, or raises :class:`Missing`. If ``fresh``, no cache may answer."""

    @abstractmethod
    def get_many(self, now: Milliseconds, keys: Sequence[str]) -> Sequence[Entry | StoreError]:
        """Reads up to 100 entries, in the order of the keys. An error of one key is the result of that key."""

    @abstractmethod
    def insert(self, now: Milliseconds, key: str, value: str, at: Placement) -> int:
        """Stores an entry if no live one has the key, and returns its version; raises :class:`Stale` otherwise.

        The entry expires at ``at.expires_at`` or ``at.ends_at``, the earlier of the two. Raises :class:`TooLarge` for a key, an
        owner or a value beyond the limits in :meth:`describe`.
        """

    @abstractmethod
    def replace(self, now: Milliseconds, key: str, value: str, expected: Expected, at: Placement) -> int:
        """Overwrites the expected entry, and returns the new version; raises :class:`Stale` or :class:`Missing`.

        For its expiry and its limits, as :meth:`insert`.
        """

    @abstractmethod
    def touch(self, now: Milliseconds, key: str, owner: str | None, expires_at: Milliseconds) -> None:
        """Moves the expiry of an entry later, never earlier, and never beyond the ``ends_at`` of its last write."""

    @abstractmethod
    def delete(self, now: Milliseconds, key: str, condition: Condition) -> bool:
        """Removes an entry that meets the condition, and returns whether there was one; raises :class:`Stale`."""

    @abstractmethod
    def delete_many(self, now: Milliseconds, deletions: Sequence[Deletion], owner: str) -> int:
        """Removes up to 100 entries of an owner, and returns how many were live."""

    @abstractmethod
    def list_owned(self, now: Milliseconds, owner: str, cursor: str, limit: int) -> Page:
        """One page of an owner's index, of 1 to 100 rows; the empty cursor is that of the first page."""


class AsyncStore(ABC):
    """A store whose methods are coroutines of asyncio. Only the engine's asynchronous methods work on it.

    The coroutines run in the event loop of the last call.
    """

    @abstractmethod
    def describe(self) -> Capabilities:
        """As :meth:`Store.describe`; not a coroutine."""

    @abstractmethod
    async def get(self, now: Milliseconds, key: str, fresh: bool) -> Entry:
        """As :meth:`Store.get`."""

    @abstractmethod
    async def get_many(self, now: Milliseconds, keys: Sequence[str]) -> Sequence[Entry | StoreError]:
        """As :meth:`Store.get_many`."""

    @abstractmethod
    async def insert(self, now: Milliseconds, key: str, value: str, at: Placement) -> int:
        """As :meth:`Store.insert`."""

    @abstractmethod
    async def replace(self, now: Milliseconds, key: str, value: str, expected: Expected, at: Placement) -> int:
        """As :meth:`Store.replace`."""

    @abstractmethod
    async def touch(self, now: Milliseconds, key: str, owner: str | None, expires_at: Milliseconds) -> None:
        """As :meth:`Store.touch`."""

    @abstractmethod
    async def delete(self, now: Milliseconds, key: str, condition: Condition) -> bool:
        """As :meth:`Store.delete`."""

    @abstractmethod
    async def delete_many(self, now: Milliseconds, deletions: Sequence[Deletion], owner: str) -> int:
        """As :meth:`Store.delete_many`."""

    @abstractmethod
    async def list_owned(self, now: Milliseconds, owner: str, cursor: str, limit: int) -> Page:
        """As :meth:`Store.list_owned`."""
