"""The store of ``examples/own_store.py`` in the other forms that a store in Python has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from own_store import DictStore

from tessera import stores
from tessera.stores import AsyncStore, Capabilities, Entry, Page, Placement


class Blocking(DictStore):
    """The same store, whose methods may block."""

    is_immediate = False


class Asynchronous(AsyncStore):
    """The same store, whose methods are coroutines."""

    def __init__(self) -> None:
        self.store, self.loops = DictStore(), set[int]()
        self.before: Any = None

    def describe(self) -> Capabilities:
        return self.store.describe()

    async def call(self, method: str, *arguments: Any) -> Any:
        self.loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        if self.before is not None:
            await self.before(method)
        return getattr(self.store, method)(*arguments)

    async def get(self, now: int, key: str, fresh: bool) -> Entry:
        return await self.call("get", now, key, fresh)

    async def get_many(self, now: int, keys: Sequence[str]) -> Sequence[Entry | stores.StoreError]:
        return await self.call("get_many", now, keys)

    async def insert(self, now: int, key: str, value: str, at: Placement) -> int:
        return await self.call("insert", now, key, value, at)

    async def replace(self, now: int, key: str, value: str, expected: stores.Expected, at: Placement) -> int:
        return await self.call("replace", now, key, value, expected, at)

    async def touch(self, now: int, key: str, owner: str | None, expires_at: int) -> None:
        return await self.call("touch", now, key, owner, expires_at)

    async def delete(self, now: int, key: str, condition: stores.Condition) -> bool:
        return await self.call("delete", now, key, condition)

    async def delete_many(self, now: int, deletions: Sequence[stores.Deletion], owner: str) -> int:
        return await self.call("delete_many", now, deletions, owner)

    async def list_owned(self, now: int, owner: str, cursor: str, limit: int) -> Page:
        return await self.call("list_owned", now, owner, cursor, limit)
