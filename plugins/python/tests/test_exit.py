"""The end of a process: writes that have begun are completed, and threads that are in calls do no harm."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import EXAMPLES, python

PROGRAM = """
import asyncio, gc, signal, sys, threading, time
sys.path.insert(0, {examples!r})
from own_store import DictStore
from tessera import Tessera

began, ended = threading.Event(), sys.argv[1]

class Slow(DictStore):
    is_immediate = False

    def insert(self, *arguments, **named):
        began.set()
        time.sleep(0.5)
        version = super().insert(*arguments, **named)
        with open(ended, "w") as file:
            file.write("written")
        return version

async def main():
    sessions = Tessera(Slow(), keys={{"k": b"-" * 32}})
    saving = asyncio.ensure_future(sessions.create().asave())
    while not began.is_set():
        await asyncio.sleep(0.01)
    saving.cancel()
    {closing}

asyncio.run(main())
gc.collect()
"""


@pytest.mark.parametrize("closing", ["", "sessions.close()"])
def test_a_begun_write_of_a_cancelled_task_is_completed_before_the_process_ends(closing: str, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    program = PROGRAM.format(examples=str(EXAMPLES), closing=closing)
    subprocess.run(python("-c", program, str(ended)), check=True, timeout=60)
    assert ended.read_text() == "written"


IN_DAEMONS = """
import asyncio, atexit, os, sys, threading, time
sys.path.insert(0, {examples!r})

def late():
    # Threads meet the end of the sessions before that of the interpreter.
    time.sleep(0.2)
    other = Tessera("memory:", keys=keys).create()
    other["late"] = True
    other.save()

atexit.register(late)
from own_store import DictStore
from tessera import Tessera

class Slow(DictStore):
    is_immediate = {is_immediate}

    def get(self, *arguments):
        time.sleep(0.005)
        return super().get(*arguments)

keys = {{"k": b"-" * 32}}
sessions = Tessera({store}, keys=keys)
session = sessions.create()
session["n"] = 0
token = session.save().token
working = threading.Barrier(7)

def save():
    opened = sessions.open(token)
    opened["n"] = time.monotonic()
    opened.save()

def read():
    details = session.details()
    details.expires_at, details.ends_at, list(session.keys()), list(session.items())

def keep():
    sessions.create().authenticate("alice", keep=(name for name in ["n"] * 50))

def forget():
    sessions.aopen(token).close()
    sessions.aopen(token)

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

def work():
    working.wait()
    while True:
        try:
            {work}()
        except Exception:
            pass

for _ in range(6):
    threading.Thread(target=work, daemon=True).start()
working.wait()
time.sleep(0.05)
"""

WORK = [
    ("save", "blocking"),
    ("save", "immediate"),
    ("save", "redis"),
    ("read", "redis"),
    ("keep", "redis"),
    ("forget", "redis"),
    ("fork", "redis"),
]


@pytest.mark.parametrize(("work", "store"), WORK)
def test_a_process_ends_while_daemon_threads_are_in_calls(work: str, store: str, redis_url: str) -> None:
    program = IN_DAEMONS.format(
        examples=str(EXAMPLES),
        is_immediate=store == "immediate",
        store=repr(redis_url) if store == "redis" else "Slow()",
        work=work,
    )
    running = [subprocess.Popen(python("-c", program), stderr=subprocess.PIPE, text=True) for _ in range(6)]
    for process in running:
        try:
            _, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == 0, errors


AWAITED_LATE = """
import asyncio, atexit, sys

def late():
    async def use():
        session["bye"] = 1
        await session.asave()
        print((await sessions.aopen(token))["bye"])
    asyncio.run(use())

# Before the package registers its own, so that it runs after that.
atexit.register(late)
import tessera
from tessera._tessera import Engine
# The package does not close it.
sessions = Engine(sys.argv[1], keys=[("k", b"-" * 32)])
session = sessions.create()
token = session.save().token
"""


def test_calls_are_awaited_by_the_last_functions_of_a_process(redis_url: str) -> None:
    done = subprocess.run(python("-c", AWAITED_LATE, redis_url), check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr
