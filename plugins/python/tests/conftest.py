"""Sessions, clocks and servers for the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tessera import Tessera
from tessera.testing import Clock

#: 2026-01-01.
NOW = 1_767_225_600_000
KEYS = {"k": b"-" * 32}
PACKAGE = Path(__file__).parent.parent
EXAMPLES = PACKAGE / "examples"
PATIENCE = 20.0

sys.path.insert(0, os.fspath(EXAMPLES))


@pytest.fixture
def clock() -> Clock:
    """A clock that the test sets."""
    return Clock(NOW)


@pytest.fixture
def sessions(clock: Clock) -> Tessera:
    """Sessions in memory."""
    return Tessera("memory:", keys=KEYS, clock=clock)


@pytest.fixture
def threads_alternate() -> Iterator[None]:
    """Threads of Python take turns after a microsecond, and not after milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def free_port() -> int:
    """A port of the loopback that was free just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def eventually(what: str, is_so: Callable[[], bool]) -> None:
    """Waits until it is so."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until, f"it is still not so that {what}"
        time.sleep(0.02)


def answers(port: int) -> bool:
    """Whether a server listens."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


class Program:
    """A server in a process of its own."""

    def __init__(self, arguments: list[str], environment: dict[str, str] | None = None, port: int = 0) -> None:
        self.port = port
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            arguments,
            env={**os.environ, "PYTHONPATH": f"{PACKAGE}:{EXAMPLES}", **(environment or {})},
            stdout=self.output,
            stderr=subprocess.STDOUT,
            cwd=EXAMPLES,
        )

        def is_up() -> bool:
            assert self.process.poll() is None, self.log()
            return answers(port)

        try:
            eventually(f"{arguments[0]} listens", is_up)
        except AssertionError:
            self.stop()
            raise

    def log(self) -> str:
        """All output so far."""
        self.output.seek(0)
        return self.output.read()

    def stop(self) -> None:
        """Ends the process."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            self.output.close()


@pytest.fixture(scope="session")
def redis() -> Iterator[Program]:
    """A Redis of the tests alone."""
    port, place = free_port(), tempfile.mkdtemp()
    server = shutil.which("redis-server")
    assert server is not None, "redis-server is missing: `cargo xtask test` installs it"
    arguments = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", place, "--save", ""]
    program = Program(arguments, port=port)
    yield program
    program.stop()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def redis_port(redis: Program) -> int:
    """The port of that Redis."""
    return redis.port


@pytest.fixture
def redis_url(redis_port: int) -> str:
    """The URL of that Redis."""
    return f"redis://127.0.0.1:{redis_port}"


def python(*arguments: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, *arguments]
