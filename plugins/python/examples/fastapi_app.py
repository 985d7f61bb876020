"""A login in FastAPI: ``uvicorn fastapi_app:app``.

The variables ``TESSERA_STORE`` and ``TESSERA_KEYS`` (or ``TESSERA_KEY_FILE``) name the store and the keys, as for ``tessera serve``.
"""

from __future__ import annotations

import os

from fastapi import Depends, FastAPI, Form, HTTPException, Request

from tessera import Cookie, Tessera
from tessera.asgi import RequestSession, SessionMiddleware

sessions = Tessera.from_environment()
cookie = Cookie.insecure_for_local_development() if os.environ.get("INSECURE") else Cookie()

app = FastAPI()
app.add_middleware(SessionMiddleware, sessions=sessions, cookie=cookie)


def session_of(request: Request) -> RequestSession:
    session: RequestSession = request.session  # type: ignore[assignment]
    return session


def user_of(session: RequestSession = Depends(session_of)) -> str:
    if session.subject is None:
        raise HTTPException(401, "log in first")
    return session.subject


@app.post("/login")
async def login(
    user: str = Form(), password: str = Form(), session: RequestSession = Depends(session_of)
) -> dict[str, str]:
    # An application compares a hash.
    if password != "correct horse":
        raise HTTPException(403, "wrong user or password")
    await session.aauthenticate(user, keep=["visits"])
    return {"user": user}


@app.get("/")
async def home(session: RequestSession = Depends(session_of)) -> dict[str, object]:
    session["visits"] = session.get("visits", 0) + 1
    return {"user": session.subject, "visits": session["visits"], "csrf": session.csrf_token()}


@app.get("/devices")
async def devices(user: str = Depends(user_of), session: RequestSession = Depends(session_of)) -> list[dict[str, object]]:
    listed = [item async for item in sessions.alist_all(user, current=session.details().public_id)]
    return [{"id": item.public_id, "current": item.current, "last_seen": item.last_seen_at} for item in listed]


@app.post("/logout")
async def logout(session: RequestSession = Depends(session_of)) -> dict[str, bool]:
    await session.adestroy()
    return {"done": True}
