"""The stores of the conformance adapter: those of the runner, and those that the adapter opens."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tessera import _stores
from tessera._tessera import OpenedStore

sys.path.insert(0, os.fspath(Path(__file__).parent.parent / "examples"))

from own_store import DictStore  # noqa: E402
from own_stores import Asynchronous  # noqa: E402

#: The URL of a new store of ``examples/own_store.py``.
OWN = "own:"

_output = threading.Lock()


def write(line: dict[str, Any]) -> None:
    """Writes a line."""
    text = json.dumps(line, ensure_ascii=False) + "\n"
    with _output:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


# The runner's stores.


class Ended(Exception):
    """The operation belongs to a scenario that is over."""


class Pipe:
    """The operations of the runner's stores that are in progress."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.waiting: dict[int, queue.SimpleQueue[str | None]] = {}
        self.notices: dict[int, Callable[[], object]] = {}
        self.lock = threading.Lock()

    def begin(self, store: int, now: int, operation: str) -> int:
        number = next(self.numbers)
        self.waiting[number] = queue.SimpleQueue()
        line = {"type": "op", "op": number, "store": store, "now": now, "operation": json.loads(operation)}
        write(line)
        return number

    def wait(self, number: int) -> str | None:
        """The next line of an operation: its reply, or that it comes later."""
        waiting = self.waiting.get(number)
        reply = "" if waiting is None else waiting.get()
        if reply == "":
            raise Ended
        return reply

    def notify(self, number: int, notice: Callable[[], object]) -> None:
        """Calls a function once the next line of an operation is there."""
        with self.lock:
            waiting = self.waiting.get(number)
            if waiting is not None and waiting.empty():
                self.notices[number] = notice
                return
        notice()

    def put(self, number: int, reply: str | None) -> None:
        with self.lock:
            waiting, notice = self.waiting.get(number), self.notices.pop(number, None)
            if waiting is not None:
                waiting.put(reply)
        if notice is not None:
            notice()

    def end(self, number: int) -> None:
        with self.lock:
            self.waiting.pop(number, None)
            self.notices.pop(number, None)

    def clear(self) -> None:
        for number in list(self.waiting):
            self.put(number, "")


pipe = Pipe()


def arrive(arrived: asyncio.Future[None]) -> None:
    """Ends the wait for a line, unless its task was cancelled."""
    if not arrived.done():
        arrived.set_result(None)


class PipeStore:
    """A store of the runner whose methods block, or never wait."""

    def __init__(self, number: int, capabilities: Any, is_immediate: bool) -> None:
        self.number, self.described = number, json.dumps(capabilities)
        self.manner = "immediate" if is_immediate else "blocking"
        self._tessera_raw = self
        # The numbers of operations that were begun in a pass, and whose reply takes time.
        self.late: dict[tuple[int, str], queue.SimpleQueue[int]] = {}

    def capabilities(self) -> str:
        return self.described

    def call(self, now: int, operation: str) -> str | None:
        number = pipe.begin(self.number, now, operation)
        reply = pipe.wait(number)
        if reply is None and self.manner == "immediate":
            self.late.setdefault((now, operation), queue.SimpleQueue()).put(number)
            return None
        return self.finish(number, reply)

    def later(self, now: int, operation: str) -> str:
        return self.finish(self.late[(now, operation)].get_nowait(), None)

    def finish(self, number: int, reply: str | None) -> str:
        while reply is None:
            reply = pipe.wait(number)
        pipe.end(number)
        return reply


class AsyncPipeStore(PipeStore):
    """A store of the runner whose methods are coroutines."""

    def __init__(self, number: int, capabilities: Any) -> None:
        super().__init__(number, capabilities, False)
        self.manner = "asynchronous"

    async def call(self, now: int, operation: str) -> str:  # type: ignore[override]
        number = pipe.begin(self.number, now, operation)
        loop = asyncio.get_running_loop()
        try:
            while True:
                arrived = loop.create_future()
                pipe.notify(number, lambda arrived=arrived: loop.call_soon_threadsafe(arrive, arrived))
                await arrived
                reply = pipe.wait(number)
                if reply is not None:
                    return reply
        finally:
            pipe.end(number)


# Stores of the adapter.


class Opened(Protocol):
    """A store that the adapter has opened."""

    def capabilities(self) -> str: ...

    def call(self, now: int, operation: str) -> str: ...

    def close(self) -> None: ...


class Own:
    """A store that is written in Python, called as the engine calls it."""

    def __init__(self) -> None:
        self.store = DictStore()

    def capabilities(self) -> str:
        return _stores.describe(self.store)[1]

    def call(self, now: int, operation: str) -> str:
        reply = _stores.call(self.store, now, operation)
        assert reply is not None
        return reply

    def close(self) -> None:
        pass


class AsyncOwn(Own):
    """The same, with methods that are coroutines."""

    def __init__(self) -> None:
        self.store: Any = Asynchronous()

    async def acall(self, now: int, operation: str) -> str:
        loop = asyncio.get_running_loop()
        delivered: asyncio.Future[str] = loop.create_future()
        cancel = _stores.start(self.store, now, operation, loop, Delivery(delivered))
        try:
            return await delivered
        except asyncio.CancelledError:
            cancel()
            raise


class Delivery:
    """Takes the reply of an operation."""

    def __init__(self, delivered: asyncio.Future[str]) -> None:
        self.delivered = delivered

    def deliver(self, reply: str) -> None:
        if not self.delivered.done():
            self.delivered.set_result(reply)


class Opener:
    """Stores by their URLs. Those of the extension module have calls that block."""

    def open(self, url: str) -> Opened:
        return Own() if url == OWN else OpenedStore(url)

    async def aopen(self, url: str) -> Opened:
        return AsyncOwn() if url == OWN else await asyncio.to_thread(OpenedStore, url)

    def call(self, store: Opened, now: int, operation: str) -> str:
        return store.call(now, operation)

    async def acall(self, store: Opened, now: int, operation: str) -> str:
        if isinstance(store, AsyncOwn):
            return await store.acall(now, operation)
        return await asyncio.to_thread(store.call, now, operation)
