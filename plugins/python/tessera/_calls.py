"""Delivers results to event loops, for the extension module."""

from __future__ import annotations

from asyncio import Future


def deliver(future: Future[object], value: object, error: BaseException | None) -> None:
    """Completes a future, unless its task was cancelled meanwhile."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, StopIteration):
        # A future refuses it.
        future.set_exception(RuntimeError(str(error)))
    else:
        future.set_exception(error)
