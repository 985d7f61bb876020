"""What type checkers know of the package: each line with a reason must be an error, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import assert_type

from tessera import Cookie, Grant, Session, SessionPage, SigningKey, Tessera, errors
from tessera.asgi import RequestSession, SessionMiddleware
from tessera.stores import AsyncStore, Store

sessions = Tessera("memory:", keys=[SigningKey.generate()], policy={"idle_timeout": timedelta(minutes=5)})


def blocking(token: str, store: Store, other: AsyncStore) -> None:
    """The calls that block."""
    session = sessions.open(token)
    assert_type(session, Session)
    assert_type(session.save(), Grant)
    assert_type(session.save().token, str | None)
    assert_type(session.details().expires_at, datetime)
    assert_type(sessions.list("alice"), SessionPage)
    assert_type(session.get("a"), Any | None)
    assert_type(session.subject, str | None)
    fields: Mapping[str, Any] = dict(session.items())
    session.update(fields)
    session.authenticate("alice", keep="everything")
    session.authenticate("alice", keep=["a"])
    Tessera(store, keys={"k": b""})
    Tessera(other, keys="keys.json")
    Tessera(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Tessera("memory:", policy={"idle": 1})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Cookie(same_site="lax")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    session.authenticate(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def asynchronous(token: str) -> None:
    """The calls for asyncio."""
    session = await sessions.aopen(token)
    assert_type(session, Session)
    assert_type(await session.asave(), Grant)
    assert_type(await sessions.arevoke_all("alice"), int)
    async for item in sessions.alist_all("alice"):
        assert_type(item.last_seen_at, datetime)
    try:
        await session.adestroy()
    except errors.ThrottledError as error:
        assert_type(error.retry_after, timedelta)


async def web(session: RequestSession, app: Any) -> None:
    """Sessions of requests."""
    await session.aauthenticate("alice")
    assert_type(session.token, str | None)
    SessionMiddleware(app, sessions=sessions, cookie=Cookie.insecure_for_local_development())
