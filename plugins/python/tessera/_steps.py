"""Calls that are written once, and performed with the methods that block or with those for asyncio."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

#: A call that the driver performs: a method of a session or of the engine, with its arguments. The asynchronous driver performs
#: the method whose name begins with ``a``.
Step = tuple[object, str, tuple[Any, ...]]
Steps = Generator[Step, Any, Any]


def run(steps: Steps) -> Any:
    """Performs steps with the calls that block."""
    try:
        step = next(steps)
        while True:
            target, method, arguments = step
            try:
                result = getattr(target, method)(*arguments)
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as stop:
        return stop.value


async def arun(steps: Steps) -> Any:
    """Performs steps with the calls for asyncio."""
    try:
        step = next(steps)
        while True:
            target, method, arguments = step
            try:
                result = await getattr(target, f"a{method}")(*arguments)
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as stop:
        return stop.value
