"""A store of your own: sessions in a dict of the process, with every guarantee that a store can give.

It is short because one lock makes each method one step. A store over a database keeps the same rules by the database's own means.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tessera.stores import (
    Capabilities,
    Condition,
    Deletion,
    Entry,
    Expected,
    IfGuard,
    IfVersion,
    MalformedCursor,
    Missing,
    Page,
    Placement,
    Row,
    Stale,
    Store,
    StoreError,
    check_batch,
    check_limit,
)

#: Expired records stay for an hour, because a host whose clock is behind may still serve them.
SWEEP_GRACE = 3600 * 1000
#: The number of records from which on expired ones are removed.
SWEEP_FROM = 1000


@dataclass
class _Record:
    entry: Entry
    owner: str | None
    touched_at: int
    ends_at: int


def _meets(record: _Record, condition: Condition | Expected) -> bool:
    if isinstance(condition, IfVersion):
        return record.entry.version == condition.version
    if isinstance(condition, IfGuard):
        return record.entry.guard == condition.guard
    return record.owner == condition.owner


class DictStore(Store):
    """Sessions in a dict. They end with the process."""

    is_immediate = True

    def __init__(self) -> None:
        """An empty store."""
        self._records: dict[str, _Record] = {}
        self._lock = threading.Lock()
        self._sweep_at = SWEEP_FROM

    def describe(self) -> Capabilities:
        """Everything but the loss of a server."""
        return Capabilities(compare_and_swap=True, list_by_owner=True)

    def _live(self, now: int, key: str) -> _Record | None:
        record = self._records.get(key)
        return None if record is None or record.entry.expires_at <= now else record

    def get(self, now: int, key: str, fresh: bool) -> Entry:
        """Reads an entry."""
        with self._lock:
            record = self._live(now, key)
        if record is None:
            raise Missing
        return record.entry

    def get_many(self, now: int, keys: Sequence[str]) -> Sequence[Entry | StoreError]:
        """Reads several entries."""
        check_batch(keys)
        with self._lock:
            records = [self._live(now, key) for key in keys]
        return [Missing() if record is None else record.entry for record in records]

    def insert(self, now: int, key: str, value: str, at: Placement) -> int:
        """Stores a new entry."""
        self.describe().check_sizes(key, value, at)
        with self._lock:
            if len(self._records) >= self._sweep_at:
                self._sweep(now)
            if self._live(now, key) is not None:
                raise Stale
            return self._store(now, key, value, at, 0)

    def replace(self, now: int, key: str, value: str, expected: Expected, at: Placement) -> int:
        """Overwrites an entry."""
        self.describe().check_sizes(key, value, at)
        with self._lock:
            record = self._live(now, key)
            if record is None:
                raise Missing
            if not _meets(record, expected):
                raise Stale
            return self._store(now, key, value, at, record.entry.guard)

    def _store(self, now: int, key: str, value: str, at: Placement, guard: int) -> int:
        version = secrets.randbits(64)
        guard = guard if at.guard is None else at.guard
        entry = Entry(value, version, guard, min(at.expires_at, at.ends_at))
        self._records[key] = _Record(entry, at.owner, now, at.ends_at)
        return version

    def _sweep(self, now: int) -> None:
        kept = {key: record for key, record in self._records.items() if record.entry.expires_at > now - SWEEP_GRACE}
        self._records, self._sweep_at = kept, max(SWEEP_FROM, 2 * len(kept))

    def touch(self, now: int, key: str, owner: str | None, expires_at: int) -> None:
        """Moves the expiry later."""
        with self._lock:
            record = self._live(now, key)
            if record is None:
                raise Missing
            later = min(expires_at, record.ends_at)
            if later > record.entry.expires_at:
                record.entry = replace(record.entry, expires_at=later)
                record.touched_at = max(record.touched_at, now)

    def delete(self, now: int, key: str, condition: Condition) -> bool:
        """Removes an entry."""
        with self._lock:
            record = self._live(now, key)
            if record is None:
                return False
            if not _meets(record, condition):
                raise Stale
            del self._records[key]
            return True

    def delete_many(self, now: int, deletions: Sequence[Deletion], owner: str) -> int:
        """Removes several entries of an owner."""
        check_batch(deletions)
        ended = 0
        with self._lock:
            for deletion in deletions:
                record = self._live(now, deletion.key)
                if record is None or record.owner != owner or deletion.guard not in (None, record.entry.guard):
                    continue
                del self._records[deletion.key]
                ended += 1
        return ended

    def list_owned(self, now: int, owner: str, cursor: str, limit: int) -> Page:
        """One page of an owner's entries, by their keys."""
        check_limit(limit)
        if cursor and not cursor.startswith("after:"):
            raise MalformedCursor
        after = cursor.removeprefix("after:")
        with self._lock:
            keys = sorted(
                key
                for key, record in self._records.items()
                if record.owner == owner and record.entry.expires_at > now and key > after
            )
            rows = [self._row(key) for key in keys[:limit]]
        return Page(rows, f"after:{rows[-1].key}" if len(keys) > limit else None)

    def _row(self, key: str) -> Row:
        record = self._records[key]
        entry = record.entry
        return Row(key, entry.version, entry.guard, record.touched_at, entry.expires_at, entry.value)
