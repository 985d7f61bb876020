"""Forks: gunicorn with ``--preload``, ``multiprocessing``, Celery and uWSGI fork after the application was loaded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Program, python

PROGRAM = Path(__file__).with_name("forked.py")
CASES = [
    "other_hooks_use_the_engine",
    "used_in_parent_and_children",
    "no_id_twice",
    "forks_while_threads_work",
    "pools",
    "watchdogs",
    "store_that_forks",
]


@pytest.mark.parametrize("case", CASES)
def test_sessions_are_used_on_both_sides_of_a_fork_over_redis(case: str, redis_url: str) -> None:
    subprocess.run(python("-Werror", str(PROGRAM), case, redis_url), check=True, timeout=60)


@pytest.mark.parametrize("case", ["sqlite_in_children", "sqlite_in_parent_and_child", "sqlite_closed_before"])
def test_sqlite_is_used_after_a_fork_or_refused(case: str, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'sessions.db'}"
    subprocess.run(python("-Werror", str(PROGRAM), case, store), check=True, timeout=60)


def test_an_event_loop_goes_on_while_a_child_connects_to_a_store_that_is_silent(
    redis: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PROCESS", str(redis.process.pid))
    url = f"redis://127.0.0.1:{redis.port}"
    subprocess.run(python(str(PROGRAM), "made_again_while_redis_is_silent", url), check=True, timeout=60)


UNSEEN = """
import ctypes, os, sys
from tessera import Tessera, errors
sessions = Tessera(sys.argv[1], keys={"k": b"-" * 32})
token = sessions.create().save().token
# As a server in C forks, whether it lets Python know or not.
library = ctypes.PyDLL(None)
child = library.fork()
if child == 0:
    if sys.argv[2] == "after":
        library.PyOS_AfterFork_Child()
    try:
        session = sessions.open(token)
        session["child"] = True
        session.save()
        os._exit(0 if sys.argv[1].startswith("redis") else 1)
    except errors.ForkedError:
        os._exit(1 if sys.argv[1].startswith("redis") else 0)
    finally:
        os._exit(2)
assert os.waitpid(child, 0)[1] == 0
session = sessions.open(token)
assert ("child" in session) == sys.argv[1].startswith("redis")
session.save()
"""


@pytest.mark.parametrize("hook", ["after", "none"])
@pytest.mark.parametrize("store", ["redis", "sqlite"])
def test_a_fork_that_python_does_not_see_is_as_any_other(store: str, hook: str, redis_url: str, tmp_path: Path) -> None:
    url = redis_url if store == "redis" else f"sqlite:{tmp_path / 'sessions.db'}"
    subprocess.run(python("-c", UNSEEN, url, hook), check=True, timeout=60)


def test_a_store_in_memory_is_empty_in_a_child() -> None:
    program = """
import os
from tessera import Tessera, errors
sessions = Tessera("memory:", keys={"k": b"-" * 32})
token = sessions.create().save().token
if os.fork() == 0:
    try:
        sessions.open(token)
    except errors.MissingError:
        os._exit(0)
    os._exit(1)
assert os.wait()[1] == 0
sessions.open(token)
"""
    subprocess.run(python("-c", program), check=True, timeout=60)
