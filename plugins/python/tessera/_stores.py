"""Calls the stores of programs, for the extension module."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Callable
from typing import Protocol

from ._wire import read_operation, write_capabilities, write_failure, write_reply
from .stores import AsyncStore, Store, Unavailable


class _Reply(Protocol):
    def deliver(self, reply: str) -> None: ...


class RawStore(Protocol):
    """A store whose operations and replies are JSON."""

    manner: str

    def capabilities(self) -> str: ...

    def call(self, now: int, operation: str) -> str | None: ...

    def later(self, now: int, operation: str) -> str: ...


def describe(store: object) -> tuple[str, str]:
    """How a store's methods return, and its capabilities."""
    if isinstance(store, AsyncStore):
        return "asynchronous", write_capabilities(store.describe())
    if isinstance(store, Store):
        return "immediate" if store.is_immediate else "blocking", write_capabilities(store.describe())
    raw = getattr(store, "_tessera_raw", None)
    if raw is not None:
        return raw.manner, raw.capabilities()
    raise TypeError(f"a store is a URL, a tessera.stores.Store or an AsyncStore, not {type(store).__name__}")


def call(store: object, now: int, operation: str) -> str | None:
    """Performs an operation of a store that blocks, and returns the reply; ``None`` if :func:`later` is to wait for it."""
    raw = getattr(store, "_tessera_raw", None)
    if raw is not None:
        reply: str | None = raw.call(now, operation)
        return reply
    method, arguments = read_operation(json.loads(operation))
    try:
        return write_reply(method, getattr(store, method)(now, *arguments))
    except Exception as error:
        return write_failure(method, error)


def later(store: object, now: int, operation: str) -> str | None:
    """Waits for the reply that a raw store did not have at once."""
    raw = getattr(store, "_tessera_raw", None)
    reply: str | None = None if raw is None else raw.later(now, operation)
    return reply


async def _perform(store: object, now: int, operation: str) -> str:
    raw = getattr(store, "_tessera_raw", None)
    if raw is not None:
        return str(await raw.call(now, operation))
    method, arguments = read_operation(json.loads(operation))
    try:
        return write_reply(method, await getattr(store, method)(now, *arguments))
    except Exception as error:
        return write_failure(method, error)


#: Tasks of stores, which the event loop itself references weakly.
_running: set[asyncio.Task[str]] = set()


class _Operation:
    """An operation of an asynchronous store in its event loop."""

    def __init__(self, store: object, now: int, operation: str, reply: _Reply) -> None:
        self._store, self._now, self._operation, self._reply = store, now, operation, reply
        self._method, _ = read_operation(json.loads(operation))
        self._task: asyncio.Task[str] | None = None
        self._is_cancelled = False

    def fail(self, error: BaseException) -> None:
        self._reply.deliver(write_failure(self._method, error))

    def begin(self) -> None:
        if self._is_cancelled:
            return
        self._task = asyncio.ensure_future(_perform(self._store, self._now, self._operation))
        _running.add(self._task)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[str]) -> None:
        _running.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._reply.deliver(task.result())
        else:
            self.fail(error)

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()


def start(
    store: object, now: int, operation: str, loop: asyncio.AbstractEventLoop | None, reply: _Reply
) -> Callable[[], object]:
    """Begins an operation of an asynchronous store in its event loop, and returns the function that cancels it."""
    begun = _Operation(store, now, operation, reply)
    if loop is None:
        begun.fail(Unavailable("the store is asynchronous, and no event loop has called it"))
        return begun.cancel
    try:
        loop.call_soon_threadsafe(begun.begin)
    except RuntimeError:
        # Nothing was sent.
        begun.fail(Unavailable("the event loop of the store is closed"))
        return begun.cancel
    # Weakly, so that the end of a loop that has not begun it ends the call.
    weak = weakref.ref(begun)
    del begun

    def cancel() -> None:
        alive = weak()
        if alive is not None:
            loop.call_soon_threadsafe(alive.cancel)

    return cancel
