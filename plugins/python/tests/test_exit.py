"""The end of a process: writes that have begun are completed."""

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
