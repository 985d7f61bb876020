"""Programs that fork, each in a process of its own: ``python forked.py CASE STORE``."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

made: list[Any] = []


def use_the_engine() -> None:
    for sessions in made:
        sessions.create().save()


# Before the package registers its own.
os.register_at_fork(before=use_the_engine, after_in_parent=use_the_engine, after_in_child=use_the_engine)

from tessera import Tessera, errors  # noqa: E402

KEYS = {"k": b"-" * 32}


def in_child(work: object) -> None:
    """Runs a function in a forked child, and waits for it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()  # type: ignore[operator]
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0, status


def used_in_parent_and_children(store: str) -> None:
    sessions = Tessera(store, keys=KEYS)
    before = sessions.create()
    before["parent"] = True
    token = before.save().token or ""

    def child() -> None:
        opened = sessions.open(token)
        opened[f"child{os.getpid()}"] = True
        opened.save()
        try:
            before["late"] = True
        except errors.ForkedError:
            pass
        else:
            raise AssertionError("a session of the parent was changed in the child")
        # What was made before the fork is dropped without harm.
        globals()["kept"] = None
        in_grandchild()

    def in_grandchild() -> None:
        in_child(lambda: sessions.open(token))

    for _ in range(5):
        in_child(child)
    assert len(sessions.open(token)) == 6
    before["parent"] = False
    before.save()


def other_hooks_use_the_engine(store: str) -> None:
    # The hooks at the beginning of this file.
    made.append(Tessera(store, keys=KEYS))
    for _ in range(5):
        in_child(lambda: made[0].create().save())
    made[0].create().save()


def no_id_twice(store: str) -> None:
    sessions = Tessera(store, keys=KEYS)
    sessions.create().save()
    reader, writer = os.pipe()

    def child() -> None:
        tokens = [sessions.create().save().token or "" for _ in range(50)]
        os.write(writer, ("\n".join(tokens) + "\n").encode())

    for _ in range(8):
        in_child(child)
    child()
    os.close(writer)
    with os.fdopen(reader) as all_tokens:
        tokens = all_tokens.read().split()
    assert len(tokens) == len(set(tokens)) == 450


def forks_while_threads_work(store: str) -> None:
    sessions = Tessera(store, keys=KEYS)
    token = sessions.create().save().token or ""
    stops = threading.Event()

    def work(name: str) -> None:
        while not stops.is_set():
            session = sessions.open(token)
            session[name] = time.monotonic()
            try:
                session.save()
            except errors.OutageError:
                pass

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(40):
            in_child(lambda: sessions.open(token)["t0"] if number % 2 else Tessera(store, keys=KEYS).create().save())
    finally:
        stops.set()
        for thread in threads:
            thread.join()
    assert sessions.open(token)


def _of_pool(arguments: tuple[str, str, int]) -> int:
    store, token, number = arguments
    session = (_sessions or Tessera(store, keys=KEYS)).open(token)
    session[f"f{number}"] = number
    while True:
        try:
            session.save()
            return os.getpid()
        except errors.ContendedError:
            pass


_sessions: Tessera | None = None


def pools(store: str) -> None:
    global _sessions
    sessions = Tessera(store, keys=KEYS)
    token = sessions.create().save().token or ""
    for method in ("fork", "spawn"):
        _sessions = sessions if method == "fork" else None
        with multiprocessing.get_context(method).Pool(3) as pool:
            pool.map(_of_pool, [(store, token, number) for number in range(60)])
        assert len(sessions.open(token)) == 60


def sqlite_in_children(store: str) -> None:
    sessions = Tessera(store, keys=KEYS)
    for _ in range(3):
        in_child(lambda: sessions.create().save())
    # The parent, too, in the end.
    sessions.create().save()


def sqlite_in_parent_and_child(store: str) -> None:
    sessions = Tessera(store, keys=KEYS)
    token = sessions.create().save().token or ""

    def child() -> None:
        others = f"{store}.other"
        for use in (
            lambda: sessions.open(token),
            lambda: Tessera(store, keys=KEYS),
            # A lock of the library may have been held at the fork.
            lambda: Tessera(others, keys=KEYS),
        ):
            try:
                use()
            except errors.ForkedError as error:
                assert "SQLite" in str(error)
            else:
                raise AssertionError("the file was used on both sides")

    in_child(child)
    sessions.open(token)


def sqlite_closed_before(store: str) -> None:
    with Tessera(store, keys=KEYS) as sessions:
        token = sessions.create().save().token or ""
    in_child(lambda: Tessera(store, keys=KEYS).open(token))


def has_a_watchdog() -> bool:
    names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    # The system keeps 15 characters.
    return "tessera-watchdog"[:15] in names


def gets_a_watchdog() -> bool:
    # A thread has its name a moment after it was started.
    until = time.monotonic() + 20
    while not has_a_watchdog():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def watchdogs(store: str) -> None:
    sessions = Tessera(store, keys=KEYS)
    assert gets_a_watchdog()

    def child() -> None:
        assert not has_a_watchdog()
        sessions.create().save()
        assert gets_a_watchdog()

    in_child(child)


def made_again_while_redis_is_silent(store: str) -> None:
    sessions = Tessera(f"{store}?connect_timeout_ms=1000", keys=KEYS)
    token = sessions.create().save().token or ""
    redis = int(os.environ["REDIS_PROCESS"])
    os.kill(redis, signal.SIGSTOP)

    async def child() -> None:
        opening = asyncio.ensure_future(sessions.aopen(token))
        turns = 0
        while not opening.done():
            await asyncio.sleep(0.01)
            turns += 1
        # The loop went on while the connection was awaited.
        assert turns > 10, turns
        try:
            opening.result()
        except errors.UnavailableError:
            pass
        else:
            raise AssertionError("a silent Redis has answered")
        os.kill(redis, signal.SIGCONT)
        await sessions.aopen(token)

    try:
        in_child(lambda: asyncio.run(child()))
    finally:
        os.kill(redis, signal.SIGCONT)
    sessions.open(token)


def store_that_forks(store: str) -> None:
    sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
    from own_store import DictStore

    def in_store() -> None:
        # The engine of the child is its own.
        sessions = Tessera(store, keys=KEYS)
        sessions.open(sessions.create().save().token or "")

    class Forks(DictStore):
        def get(self, now: int, key: str, fresh: bool) -> Any:
            in_child(in_store)
            return super().get(now, key, fresh)

    for is_immediate in (True, False):
        own = Forks()
        own.is_immediate = is_immediate  # type: ignore[misc]
        sessions = Tessera(own, keys=KEYS)
        token = sessions.create().save().token or ""
        sessions.open(token)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
