"""Opens of a session beside the peers of Python, in one run: ``cargo xtask bench-python``.

One session of nine text fields. The cases take turns; a line has the median of the rounds in microseconds of processor time, and its
ratio to the peer. Over Redis, the time is that of the wall.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tessera import Tessera
from tessera.asgi import SessionMiddleware

ROUNDS = 15
FIELDS = {f"field{number}": f"the text of field {number}" for number in range(9)}
KEYS = {"k": b"-" * 32}


def timed(work: Callable[[], object], times: int, clock: Callable[[], float]) -> float:
    """The time of one call, in microseconds."""
    began = clock()
    for _ in range(times):
        work()
    return (clock() - began) / times * 1e6


def compare(title: str, cases: dict[str, Callable[[], object]], times: int, clock: Callable[[], float]) -> None:
    """Prints the medians of cases, and their ratios to the first."""
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for name, work in cases.items():
        timed(work, times // 10 + 1, clock)
    for _ in range(ROUNDS):
        for name, work in cases.items():
            seen[name].append(timed(work, times, clock))
    medians = {name: statistics.median(all_of) for name, all_of in seen.items()}
    ours = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{title}, {name}: {median:.2f} µs; ours is {ours / median:.3f} of it")


def opens() -> None:
    """An open and the read of one field, remembered."""
    import django.conf
    from django.core import signing
    from itsdangerous import URLSafeTimedSerializer

    if not django.conf.settings.configured:
        django.conf.settings.configure(SECRET_KEY="-" * 50, SECRET_KEY_FALLBACKS=[])
    sessions = Tessera("memory:", keys=KEYS)
    session = sessions.create()
    session.update(FIELDS)
    token = session.save().token or ""
    dangerous = URLSafeTimedSerializer("-" * 32)
    signed, of_django = dangerous.dumps(FIELDS), signing.dumps(FIELDS)
    compare(
        "open and one field",
        {
            "tessera": lambda: sessions.open(token)["field4"],
            "itsdangerous": lambda: dangerous.loads(signed)["field4"],
            "Django's signed cookies": lambda: signing.loads(of_django)["field4"],
        },
        3000,
        time.process_time,
    )


def middleware() -> None:
    """One request through the middleware, whose application reads one field."""
    from starlette.middleware.sessions import SessionMiddleware as Starlettes

    sessions = Tessera("memory:", keys=KEYS)
    session = sessions.create()
    session.update(FIELDS)
    token = session.save().token or ""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        value = scope["session"]["field4"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": value.encode()})

    async def write(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].update(FIELDS)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    loop = asyncio.new_event_loop()

    def request(of: Any, cookie: str) -> Callable[[], object]:
        async def nothing(_: Any = None) -> None:
            return None

        async def many() -> None:
            for _ in range(100):
                await of({"type": "http", "headers": [(b"cookie", cookie.encode())]}, nothing, nothing)

        return lambda: loop.run_until_complete(many())

    answers: list[Any] = []

    async def note(message: Any) -> None:
        answers.append(message)

    peer = Starlettes(app, secret_key="-" * 32)
    first: Awaitable[None] = Starlettes(write, secret_key="-" * 32)({"type": "http", "headers": []}, note, note)
    loop.run_until_complete(first)
    set_cookie = dict(answers[0]["headers"])[b"set-cookie"].decode()
    compare(
        "100 requests through the ASGI middleware",
        {
            "tessera": request(SessionMiddleware(app, sessions), f"__Host-tessera={token}"),
            "Starlette": request(peer, set_cookie.partition(";")[0]),
        },
        30,
        time.process_time,
    )


def over_redis() -> None:
    """An open over a Redis of its own, beside a bare read of a value of that size."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from conftest import Program, free_port

    port = free_port()
    with tempfile.TemporaryDirectory() as place:
        arguments = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", place, "--save", ""]
        server = Program(arguments, port=port)
        try:
            over_redis_at(f"redis://127.0.0.1:{port}")
        finally:
            server.stop()


def over_redis_at(url: str) -> None:
    """The same over this Redis."""
    import redis

    sessions = Tessera(url, keys=KEYS)
    session = sessions.create()
    session.update(FIELDS)
    token = session.save().token or ""
    client: Any = redis.Redis.from_url(url)
    client.set("bench", "x" * 700)
    compare(
        "over Redis",
        {"tessera": lambda: sessions.open(token)["field4"], "redis-py, GET": lambda: client.get("bench")},
        1000,
        time.perf_counter,
    )


def start() -> None:
    """The first open of a process after the import."""
    program = (
        "import time, tessera; began = time.perf_counter();"
        "s = tessera.Tessera('memory:', keys={'k': b'-' * 32}); s.open(s.create().save().token);"
        "print((time.perf_counter() - began) * 1e3)"
    )
    runs = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(7)]
    print(f"engine, session and first open after the import: {statistics.median(runs):.1f} ms")


if __name__ == "__main__":
    opens()
    middleware()
    start()
    over_redis()
