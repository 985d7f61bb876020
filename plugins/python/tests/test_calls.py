"""Calls for asyncio: at once, cancelled, from several loops and threads."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEYS

from tessera import Tessera, errors


def test_a_call_with_its_result_at_once_does_not_pass_the_event_loop(sessions: Tessera) -> None:
    session = sessions.create()
    token = session.save().token or ""

    async def use() -> None:
        passed = False

        def note() -> None:
            nonlocal passed
            passed = True

        asyncio.get_running_loop().call_soon(note)
        opened = await sessions.aopen(token)
        opened["a"] = 1
        await opened.asave()
        assert not passed

    asyncio.run(use())


def test_every_call_has_its_form_for_asyncio(sessions: Tessera) -> None:
    async def use() -> None:
        session = sessions.create()
        session["a"] = 1
        token = (await session.aauthenticate("alice", keep=["a"])).token or ""
        assert (await session.arotate()).token not in (None, token)
        assert await session.atouch() in (True, False)
        assert await session.astanding() > sessions.now()
        assert (await session.areissue()).token is None or True
        assert [item.public_id async for item in sessions.alist_all("alice")] == [session.public_id]
        assert (await sessions.alist("alice")).next is None
        other = sessions.create()
        await other.aauthenticate("alice")
        assert await sessions.arevoke("alice", other.public_id)
        assert await sessions.arevoke_others(session) == 0
        await session.adestroy()
        assert await sessions.arevoke_all("alice") == 0
        with pytest.raises(errors.ClosedError):
            await session.asave()

    asyncio.run(use())


def test_calls_over_a_store_that_takes_time_run_at_the_same_time(redis_url: str) -> None:
    sessions = Tessera(redis_url, keys=KEYS)

    async def use() -> None:
        token = (await sessions.create().asave()).token or ""
        opened = await asyncio.gather(*(sessions.aopen(token) for _ in range(200)))
        for number, one in enumerate(opened):
            one[f"f{number}"] = number
        await asyncio.gather(*(one.asave() for one in opened))
        assert len(await sessions.aopen(token)) == 200
        # Also as tasks, in groups and with time-outs.
        assert (await asyncio.wait_for(sessions.aopen(token), 5)).public_id
        assert (await asyncio.create_task(sessions.aopen(token))).public_id

    asyncio.run(use())
    # One engine serves several loops, one after the other and at the same time.
    asyncio.run(use())
    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_ten_thousand_cancelled_tasks_leave_no_connection_no_memory_and_no_lost_write(redis_url: str) -> None:
    sessions = Tessera(redis_url, keys=KEYS)

    async def rounds(count: int) -> None:
        token = (await sessions.create().aauthenticate("alice")).token or ""
        acknowledged: set[str] = set()

        async def write(number: int) -> None:
            session = await sessions.aopen(token)
            session[f"f{number % 50}"] = number
            await session.asave()
            acknowledged.add(f"f{number % 50}")

        for start in range(0, count, 100):
            tasks = [asyncio.create_task(write(number)) for number in range(start, start + 100)]
            await asyncio.sleep(0.0005 * (start % 7))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        survivor = asyncio.create_task(write(7))
        await survivor
        opened = await sessions.aopen(token)
        assert acknowledged <= set(opened)
        await sessions.arevoke_all("alice")

    import redis

    asyncio.run(rounds(2000))
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client: Any = redis.Redis.from_url(redis_url)
    connections = len(client.client_list())
    asyncio.run(rounds(10_000))
    gc.collect()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 40_000, f"{grown} KiB"
    assert len(client.client_list()) <= connections + 1
    client.close()


def test_a_call_is_awaited_once_and_one_that_is_forgotten_is_reported(sessions: Tessera) -> None:
    async def use() -> None:
        call: Any = sessions.create().asave()
        await call
        with pytest.raises(RuntimeError, match="already awaited"):
            await call

    asyncio.run(use())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sessions.create().asave()
        gc.collect()
    assert [str(warning.message) for warning in caught] == ["a call of tessera was never awaited"]
    closed: Any = sessions.create().asave()
    closed.close()


def test_outside_of_an_event_loop_a_call_says_so(redis_url: str) -> None:
    sessions = Tessera(redis_url, keys=KEYS)
    call: Any = sessions.create().asave()
    with pytest.raises(RuntimeError, match="no running event loop"):
        call.send(None)


def test_one_session_in_two_threads_is_busy_or_right_and_never_torn(redis_url: str) -> None:
    sessions = Tessera(redis_url, keys=KEYS)
    session = sessions.create()
    token = session.save().token or ""
    busy, done = [0], [0]

    def use(name: str) -> None:
        for number in range(300):
            try:
                session[name] = number
                session.save()
                done[0] += 1
            except errors.BusyError:
                busy[0] += 1

    threads = [threading.Thread(target=use, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session["last"] = True
    session.save()
    assert done[0] > 0 and dict(sessions.open(token).items()) == dict(session.items())


def test_one_engine_in_many_threads_loses_nothing(sessions: Tessera) -> None:
    token = sessions.create().save().token or ""

    def use(name: int) -> None:
        for number in range(50):
            while True:
                session = sessions.open(token)
                session[f"{name}.{number}"] = number
                try:
                    session.save()
                    break
                except errors.ContendedError:
                    pass

    threads = [threading.Thread(target=use, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sessions.open(token)) == 250


def test_a_signal_ends_the_wait_for_a_store_that_does_not_answer() -> None:
    from own_store import DictStore

    class Silent(DictStore):
        is_immediate = False

        def insert(self, *arguments: Any) -> int:
            time.sleep(0.5)
            return super().insert(*arguments)

    sessions = Tessera(Silent(), keys=KEYS)

    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises((Alarm, errors.OutcomeUnknownError)):
            sessions.create().save()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_handler_of_a_signal_may_use_the_session_that_it_interrupts(sessions: Tessera) -> None:
    session = sessions.create()
    session["list"] = [{"n": number} for number in range(100)]
    token = session.save().token or ""
    opened, handled = session, 0

    def handle(*_: object) -> None:
        nonlocal handled
        opened["list"].append(handled)
        assert opened.modified
        handled += 1

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while handled < 200:
            opened = sessions.open(token)
            was = handled
            read = opened["list"]
            appended = handled - was
            assert len(opened["list"]) >= 100 + appended
            assert opened["list"] is read
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_changes_of_a_list_by_several_threads_are_all_in_the_last_save(
    sessions: Tessera, threads_alternate: None
) -> None:
    session = sessions.create()
    session["list"] = []
    session["other"] = [[[number]] for number in range(50)]
    token = session.save().token or ""

    def work(number: int) -> None:
        for turn in range(50):
            session["list"].append((number, turn))
            while True:
                try:
                    session.save()
                    break
                except errors.BusyError:
                    pass

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert not session.modified
    opened = sessions.open(token)
    assert sorted(opened["list"]) == [[number, turn] for number in range(4) for turn in range(50)]


def test_a_list_is_kept_that_is_set_while_the_session_is_busy_right_afterwards(
    redis_url: str, threads_alternate: None
) -> None:
    sessions = Tessera(redis_url, keys=KEYS)
    session = sessions.create()
    session.save()
    stops = False

    def touch() -> None:
        while not stops:
            try:
                session.touch()
            except errors.BusyError:
                pass

    def retried(call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except errors.BusyError:
                pass

    threads = [threading.Thread(target=touch) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(2000):
            changing = [0]
            retried(lambda: session.update({"list": changing}))
            changing.append(turn)
            retried(session.save)
            assert retried(lambda: session["list"]) == [0, turn]
    finally:
        stops = True
        for thread in threads:
            thread.join()


def test_what_an_immediate_store_raises_ends_the_call_that_it_was_raised_in() -> None:
    from own_store import DictStore

    class Interrupted(DictStore):
        raises = False

        def get(self, *arguments: Any) -> Any:
            if self.raises:
                self.raises = False
                raise KeyboardInterrupt
            return super().get(*arguments)

    store = Interrupted()
    sessions = Tessera(store, keys=KEYS)
    token = sessions.create().save().token or ""

    async def use() -> None:
        store.raises = True
        await sessions.aopen(token)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(use())
    sessions.create().save()


def test_a_handler_that_interrupts_an_immediate_store_is_busy_and_waits_for_nothing() -> None:
    from own_store import DictStore

    seen: list[type[BaseException]] = []

    class Interrupted(DictStore):
        def get(self, *arguments: Any) -> Any:
            signal.raise_signal(signal.SIGUSR1)
            return super().get(*arguments)

    sessions = Tessera(Interrupted(), keys=KEYS)
    token = sessions.create().save().token or ""

    def handle(*_: object) -> None:
        try:
            sessions.create().save()
        except errors.BusyError as error:
            seen.append(type(error))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        sessions.open(token)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen


def test_lists_of_one_session_in_many_threads_are_no_deadlock(sessions: Tessera, threads_alternate: None) -> None:
    session = sessions.create()
    session["cart"] = [{"n": number} for number in range(200)]
    session.save()
    stops = time.monotonic() + 1

    def use(number: int) -> None:
        while time.monotonic() < stops:
            try:
                session["cart"][number]["n"] += 1
                session[f"own{number}"] = [number]
                assert session.modified in (True, False)
            except errors.BusyError:
                pass

    threads = [threading.Thread(target=use, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a thread waits for another for ever"


def test_a_save_that_is_awaited_later_has_all_changes_until_then(sessions: Tessera) -> None:
    async def use() -> None:
        session = sessions.create()
        session["cart"] = []
        saving = session.asave()
        session["n"] = 1
        session["cart"].append("x")
        opened = await sessions.aopen((await saving).token or "")
        assert dict(opened.items()) == {"cart": ["x"], "n": 1}

    asyncio.run(use())
