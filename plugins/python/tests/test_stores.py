"""Stores that are written in Python, blocking and asynchronous."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from conftest import KEYS
from own_store import DictStore
from own_stores import Asynchronous, Blocking

from tessera import Tessera, errors, stores
from tessera.stores import Capabilities, Entry, Placement


@pytest.mark.parametrize("store", [DictStore, Blocking])
def test_a_store_of_python_keeps_sessions(store: type[DictStore]) -> None:
    sessions = Tessera(store(), keys=KEYS)
    session = sessions.create()
    session["a"] = 1
    token = session.authenticate("alice", keep="everything").token or ""
    one, two = sessions.open(token), sessions.open(token)
    one["b"], two["c"] = 2, 3
    one.save()
    two.save()
    assert dict(sessions.open(token).items()) == {"a": 1, "b": 2, "c": 3}
    assert [item.public_id for item in sessions.list_all("alice")] == [one.public_id]
    one.destroy()
    two["late"] = True
    with pytest.raises(errors.MissingError):
        two.save()
    assert sessions.revoke_all("alice") == 0
    assert sessions.store_kind == "own"


def test_an_asynchronous_store_runs_in_the_event_loop_of_its_caller() -> None:
    store = Asynchronous()
    sessions = Tessera(store, keys=KEYS)

    async def use() -> None:
        session = sessions.create()
        token = (await session.aauthenticate("alice")).token or ""
        opened = await asyncio.gather(*(sessions.aopen(token) for _ in range(20)))
        for number, one in enumerate(opened):
            one[f"f{number}"] = number
        await asyncio.gather(*(one.asave() for one in opened[:4]))
        assert len(await sessions.aopen(token)) == 4
        assert await sessions.arevoke_all("alice") == 1

    asyncio.run(use())
    asyncio.run(use())
    assert len(store.loops) in (1, 2)
    session = sessions.create()
    with pytest.raises(errors.InvalidArgumentError, match="asynchronous"):
        session.save()
    with pytest.raises(errors.InvalidArgumentError, match="asynchronous"):
        sessions.open("ts1.")


def test_blocking_stores_do_not_block_the_event_loop() -> None:
    class Slow(Blocking):
        threads: set[int] = set()

        def get(self, now: int, key: str, fresh: bool) -> Entry:
            self.threads.add(threading.get_ident())
            time.sleep(0.2)
            return super().get(now, key, fresh)

    sessions = Tessera(Slow(), keys=KEYS, remembered_sessions=0)

    async def use() -> None:
        token = (await sessions.create().aauthenticate("alice")).token or ""
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await sessions.aopen(token)
        ticking.cancel()
        assert ticks > 5

    asyncio.run(use())
    assert threading.get_ident() not in Slow.threads


@pytest.mark.parametrize(
    ("raised", "reads", "writes"),
    [
        (stores.Unavailable("down"), errors.UnavailableError, errors.OutcomeUnknownError),
        (stores.Full(), errors.OtherError, errors.FullError),
        (stores.Corrupt(), errors.CorruptError, errors.OutcomeUnknownError),
        (RuntimeError("a secret"), errors.OtherError, errors.OutcomeUnknownError),
        (KeyboardInterrupt(), KeyboardInterrupt, KeyboardInterrupt),
    ],
)
def test_what_a_store_raises_is_an_error_of_the_call(
    raised: BaseException, reads: type[BaseException], writes: type[BaseException]
) -> None:
    class Failing(Blocking):
        fails = False

        def get(self, now: int, key: str, fresh: bool) -> Entry:
            if self.fails:
                raise raised
            return super().get(now, key, fresh)

        def replace(self, *arguments: Any) -> int:
            if self.fails:
                raise raised
            return super().replace(*arguments)

    store = Failing()
    sessions = Tessera(store, keys=KEYS)
    session = sessions.create()
    token = session.save().token or ""
    store.fails = True
    with pytest.raises(reads) as read:
        sessions.open(token)
    session["a"] = 1
    with pytest.raises(writes) as wrote:
        session.save()
    for error in (read.value, wrote.value):
        assert "secret" not in str(error) + getattr(error, "reason", "")
    store.fails = False
    # Nothing was written, and the session is usable.
    assert "a" not in sessions.open(token)
    session.save()
    assert sessions.open(token)["a"] == 1


def test_a_store_that_returns_nonsense_is_an_error_and_no_crash() -> None:
    class Odd(DictStore):
        def get(self, now: int, key: str, fresh: bool) -> Any:
            return "not an entry"

        def insert(self, now: int, key: str, value: str, at: Placement) -> Any:
            return "not a version"

    sessions = Tessera(Odd(), keys=KEYS)
    with pytest.raises(errors.OutcomeUnknownError):
        sessions.create().save()
    token = Tessera(DictStore(), keys=KEYS).create().save().token or ""
    with pytest.raises(errors.OtherError):
        sessions.open(token)


def test_a_policy_that_the_store_cannot_honour_is_refused() -> None:
    class Weak(DictStore):
        def describe(self) -> Capabilities:
            return Capabilities()

    with pytest.raises(errors.InvalidPolicyError):
        Tessera(Weak(), keys=KEYS, policy={"sessions_per_subject": 3})

    class Odd(DictStore):
        def describe(self) -> Capabilities:
            return Capabilities(maximum_key_bytes=-1)

    with pytest.raises(errors.InvalidArgumentError, match="capabilities"):
        Tessera(Odd(), keys=KEYS)


def test_a_cancelled_call_of_an_asynchronous_store_ends_its_write() -> None:
    store = Asynchronous()
    sessions = Tessera(store, keys=KEYS)

    async def use() -> None:
        session = sessions.create()
        token = (await session.asave()).token or ""
        goes_on, begun = asyncio.Event(), asyncio.Event()

        async def before(method: str) -> None:
            if method == "replace":
                begun.set()
                await goes_on.wait()

        store.before = before
        session["a"] = 1
        saving = asyncio.create_task(session.asave())
        await begun.wait()
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        with pytest.raises(errors.BusyError):
            session["b"] = 2
        goes_on.set()
        for _ in range(500):
            await asyncio.sleep(0.01)
            try:
                session["b"] = 2
                break
            except errors.BusyError:
                pass
        assert (await sessions.aopen(token))["a"] == 1

    asyncio.run(use())


def test_calls_of_several_loops_on_an_asynchronous_store_are_no_deadlock(threads_alternate: None) -> None:
    sessions = Tessera(Asynchronous(), keys=KEYS, remembered_sessions=0)

    async def use() -> None:
        token = (await sessions.create().aauthenticate("alice")).token or ""
        for _ in range(20):
            await asyncio.gather(*(sessions.aopen(token) for _ in range(20)))

    thread = threading.Thread(target=lambda: asyncio.run(use()), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "the loop waits for ever"


@pytest.mark.parametrize("store", [DictStore, Blocking])
def test_calls_without_the_store_wait_for_no_thread_that_waits_for_the_interpreter(
    store: type[DictStore], threads_alternate: None
) -> None:
    sessions = Tessera(store(), keys=KEYS, instances=1, remembered_sessions=0)
    token = sessions.create().save().token or ""
    stops = time.monotonic() + 0.7

    def save() -> None:
        session = sessions.open(token)
        while time.monotonic() < stops:
            session["n"] = time.monotonic()
            session.save()

    def verify() -> None:
        session = sessions.open(token)
        while time.monotonic() < stops:
            sessions.verify(token)
            session.check_csrf_token(session.csrf_token())
            assert session.details().public_id == session.public_id

    threads = [threading.Thread(target=work, daemon=True) for work in (save, verify, verify)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_two_event_loops_at_a_time_each_run_their_own_operations() -> None:
    class Own(Asynchronous):
        """Fails in another loop than that of its caller."""

        async def call(self, method: str, *arguments: Any) -> Any:
            assert asyncio.get_running_loop() is expected.loop
            return await super().call(method, *arguments)

    expected = threading.local()
    sessions, failures = Tessera(Own(), keys=KEYS, remembered_sessions=0), list[BaseException]()

    async def use() -> None:
        expected.loop = asyncio.get_running_loop()
        token = (await sessions.create().aauthenticate("alice")).token or ""
        for _ in range(100):
            await sessions.aopen(token)

    def run() -> None:
        try:
            asyncio.run(use())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_loop_that_ends_before_it_has_begun_an_operation_ends_its_call() -> None:
    store = Asynchronous()
    sessions = Tessera(store, keys=KEYS, remembered_sessions=0)
    token = asyncio.run(sessions_of(sessions))
    loop = asyncio.new_event_loop()
    call: Any = sessions.aopen(token)

    async def begin() -> None:
        call.send(None)

    loop.run_until_complete(begin())
    loop.close()
    del call
    # The engine serves others.
    assert asyncio.run(sessions_of(sessions))


async def sessions_of(sessions: Tessera) -> str:
    return (await sessions.create().asave()).token or ""
