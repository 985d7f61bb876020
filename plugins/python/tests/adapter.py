"""The adapter of the conformance runner: takes steps as JSON lines. ``docs/conformance.md`` describes the lines.

``python adapter.py blocking`` uses the calls that block, each step in a thread; ``python adapter.py asyncio`` those for asyncio, each
step in a task.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from adapter_stores import AsyncPipeStore, Opened, Opener, PipeStore, pipe, write
from adapter_values import (
    ABSENT,
    AdapterError,
    check_absent_or_same,
    claims_of,
    details_of,
    error_of,
    from_base64url,
    grant_of,
    shown,
    summary_of,
    to_base64url,
    typed_of,
)

import tessera
from tessera._steps import Steps, arun, run
from tessera._tessera import Engine, Session
from tessera._times import EPOCH, milliseconds
from tessera.errors import ConfigurationError, TesseraError
from tessera.testing import Clock

clock = Clock(0)


class Lister:
    """Pages of an engine, by position."""

    def __init__(self, engine: Engine, subject: str, current: str | None) -> None:
        self.engine, self.subject, self.current = engine, subject, current

    def page(self, cursor: str | None) -> tessera.SessionPage:
        return self.engine.list(self.subject, current=self.current, cursor=cursor)

    async def apage(self, cursor: str | None) -> tessera.SessionPage:
        return await self.engine.alist(self.subject, current=self.current, cursor=cursor)


class Adapter:
    """The engines, sessions and stores of a run."""

    def __init__(self, is_async: bool) -> None:
        self.is_async, self.is_immediate, self.remembers = is_async, True, True
        self.engines: dict[str, Engine] = {}
        self.sessions: dict[str, Session] = {}
        self.stores: dict[int, Opened] = {}

    def begin(self, members: dict[str, Any]) -> dict[str, Any]:
        pipe.clear()
        self.engines.clear()
        self.sessions.clear()
        self.is_immediate, self.remembers = members["replies"] == "at-once", members["remember"]
        return {"replies": members["replies"], "remember": members["remember"]}

    def take(self, step: str, now: int, members: dict[str, Any]) -> Steps:
        """Takes a step, and returns its result."""
        method = getattr(self, f"take_{step.replace('-', '_')}", None)
        if method is not None:
            result = method(members, now) if step == "call-store" else method(members)
            return (yield from result) if isinstance(result, Iterator) else result
        return (yield from self.of_session(step, members))

    def engine(self, members: dict[str, Any]) -> Engine:
        return self.engines[members.pop("host", "main")]

    def session(self, members: dict[str, Any]) -> Session:
        return self.sessions[members.pop("on")]

    # Steps of an engine.

    def take_configure(self, members: dict[str, Any]) -> None:
        number, capabilities = members["store"]["number"], members["store"]["capabilities"]
        store = (
            AsyncPipeStore(number, capabilities)
            if self.is_async and not self.is_immediate
            else PipeStore(number, capabilities, self.is_immediate)
        )
        self.engines[members.get("host", "main")] = Engine(
            store,
            keys=[(key["id"], from_base64url(key["secret"])) for key in members["keys"]],
            policy=json.dumps(members["policy"]),
            preset=members["preset"],
            clock=clock,
            remembered_sessions=None if self.remembers else 0,
            queue_places=0,
            instances=1,
        )

    def take_policy(self, members: dict[str, Any]) -> Any:
        return json.loads(self.engine(members)._policy())

    def take_create(self, members: dict[str, Any]) -> None:
        self.sessions[members["as"]] = self.engine(members).create()

    def take_open(self, members: dict[str, Any]) -> Steps:
        session = yield self.engine(members), "open", (members["token"],)
        if members.get("as"):
            self.sessions[members["as"]] = session

    def take_verify(self, members: dict[str, Any]) -> Any:
        return claims_of(self.engine(members)._verify(members["token"], members.get("max-age-ms")))

    def take_jwt_key(self, members: dict[str, Any]) -> str:
        return to_base64url(self.engine(members).jwt_key(members["key"]))

    def take_list(self, members: dict[str, Any]) -> Steps:
        lister = Lister(self.engine(members), members["subject"], members.get("current"))
        items: list[Any] = []
        cursor = members.get("cursor")
        while True:
            page = yield lister, "page", (cursor,)
            items += [summary_of(item) for item in page.items]
            cursor = page.next
            if cursor is None:
                return items

    def take_revoke(self, members: dict[str, Any]) -> Steps:
        return (yield self.engine(members), "revoke", (members["subject"], members["public-id"]))

    def take_revoke_all(self, members: dict[str, Any]) -> Steps:
        return (yield self.engine(members), "revoke_all", (members["subject"],))

    def take_revoke_others(self, members: dict[str, Any]) -> Steps:
        return (yield self.engine(members), "revoke_others", (self.session(members),))

    # Steps of stores.

    def take_open_store(self, members: dict[str, Any]) -> Steps:
        store = yield Opener(), "open", (members["url"],)
        number = len(self.stores)
        self.stores[number] = store
        return {"store": number, "capabilities": json.loads(store.capabilities())}

    def take_call_store(self, members: dict[str, Any], now: int) -> Steps:
        store, operation = self.stores[members["store"]], json.dumps(members["operation"])
        return json.loads((yield Opener(), "call", (store, now, operation)))

    def take_close_store(self, members: dict[str, Any]) -> None:
        self.stores[members["store"]].close()

    # Steps of a session.

    def of_session(self, step: str, members: dict[str, Any]) -> Steps:
        session = self.session(members)
        if step in ("save", "rotate", "reissue"):
            return grant_of((yield session, step, ()))
        if step == "authenticate":
            return grant_of((yield session, step, (members["subject"], members.get("keep"))))
        if step == "standing":
            until = yield session, step, ()
            return milliseconds(until - EPOCH)
        if step in ("touch", "destroy"):
            return (yield session, step, ())
        if step == "csrf-token":
            return session.csrf_token()
        if step == "check-csrf-token":
            return session.check_csrf_token(members["token"])
        if step == "details":
            return details_of(session.details())
        if step == "fork":
            self.sessions[members["as"]] = session.fork()
            return None
        if step == "drop":
            for name in [name for name, other in self.sessions.items() if other is session]:
                del self.sessions[name]
            return None
        return self.of_fields(step, session, members)

    def of_fields(self, step: str, session: Session, members: dict[str, Any]) -> Any:
        if step == "get":
            typed = session._get_typed(members["name"])
            check_absent_or_same(typed, session.get(members["name"], ABSENT))
            return None if typed is None else shown(typed)
        if step == "pop":
            typed = session._get_typed(members["name"])
            check_absent_or_same(typed, session.pop(members["name"], ABSENT))
            return None if typed is None else shown(typed)
        if step == "set":
            kind, content = typed_of(members["value"])
            if kind == "json":
                session._update_typed([(members["name"], (kind, content))])
            else:
                session[members["name"]] = content
            return None
        if step == "update":
            changes = members["changes"].items()
            session._update_typed([(name, None if new is None else typed_of(new)) for name, new in changes])
            return None
        if step == "remove":
            try:
                del session[members["name"]]
            except KeyError:
                return False
            return True
        if step == "clear":
            return session.clear()
        if step == "is-modified":
            return session.modified
        if step == "entries":
            return [[name, shown((kind, content))] for name, kind, content in session._typed()]
        if step == "entries-json":
            return session.entries_json()
        raise AdapterError(f"unknown step {step}")


def outcome(id: int, error: BaseException) -> dict[str, Any]:
    if isinstance(error, TesseraError) and not (
        isinstance(error, ConfigurationError) and error.kind == "configuration"
    ):
        return {"type": "refused", "id": id, "error": error_of(error)}
    return {"type": "failed", "id": id, "reason": f"{type(error).__name__}: {error}"}


def lines() -> Iterator[dict[str, Any]]:
    for line in sys.stdin.buffer:
        yield json.loads(line)


def reply_of(line: dict[str, Any]) -> None:
    pipe.put(line["op"], json.dumps(line["reply"]) if "reply" in line else None)


class Generation:
    """Counts the scenarios, so that a step of one that is over writes nothing."""

    number = 0


def hello(runtime: str) -> None:
    write({"type": "hello", "language": "Python", "runtime": runtime, "component": tessera.COMPONENT_SHA256})


def serve_blocking() -> None:
    """Takes each step in a thread."""
    adapter, cancelled = Adapter(is_async=False), set[int]()
    hello(f"CPython {sys.version_info.major}.{sys.version_info.minor}")

    def perform(line: dict[str, Any], generation: int) -> None:
        id = line["id"]
        try:
            result = run(adapter.take(line["step"], line["now"], line["members"]))
            done = {"type": "done", "id": id, "result": result}
        except BaseException as error:
            done = outcome(id, error)
        if generation == Generation.number and id not in cancelled:
            write(done)

    for line in lines():
        if line["type"] == "reply":
            clock.set(line["now"])
            reply_of(line)
        elif line["type"] == "cancel":
            cancelled.add(line["id"])
        elif line["step"] == "begin":
            Generation.number += 1
            cancelled.clear()
            clock.set(line["now"])
            write({"type": "done", "id": line["id"], "result": adapter.begin(line["members"])})
        else:
            if not line["step"].endswith("-store"):
                clock.set(line["now"])
            threading.Thread(target=perform, args=(line, Generation.number), daemon=True).start()


async def lines_of_loop() -> AsyncIterator[dict[str, Any]]:
    loop, read = asyncio.get_running_loop(), asyncio.Queue[Any]()

    def forward() -> None:
        for line in lines():
            if line["type"] == "reply":
                # At once, because the loop may wait for it in a pass.
                clock.set(line["now"])
                reply_of(line)
            else:
                loop.call_soon_threadsafe(read.put_nowait, line)
        loop.call_soon_threadsafe(read.put_nowait, None)

    threading.Thread(target=forward, daemon=True).start()
    while (line := await read.get()) is not None:
        yield line


async def serve_asyncio() -> None:
    """Takes each step in a task."""
    adapter, tasks = Adapter(is_async=True), dict[int, asyncio.Task[None]]()
    hello(f"CPython {sys.version_info.major}.{sys.version_info.minor} asyncio")

    async def perform(line: dict[str, Any]) -> None:
        id = line["id"]
        try:
            result = await arun(adapter.take(line["step"], line["now"], line["members"]))
            done = {"type": "done", "id": id, "result": result}
        except asyncio.CancelledError:
            return
        except BaseException as error:
            done = outcome(id, error)
        tasks.pop(id, None)
        write(done)

    async for line in lines_of_loop():
        if line["type"] == "cancel":
            task = tasks.pop(line["id"], None)
            if task is not None:
                task.cancel()
        elif line["step"] == "begin":
            for task in tasks.values():
                task.cancel()
            tasks.clear()
            clock.set(line["now"])
            write({"type": "done", "id": line["id"], "result": adapter.begin(line["members"])})
        else:
            if not line["step"].endswith("-store"):
                clock.set(line["now"])
            tasks[line["id"]] = asyncio.get_running_loop().create_task(perform(line))


if __name__ == "__main__":
    if sys.argv[1:] == ["asyncio"]:
        asyncio.run(serve_asyncio())
    else:
        serve_blocking()
