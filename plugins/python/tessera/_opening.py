"""From the cookies of a request to its session."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Iterable
from typing import Any, cast

from ._engine import Tessera
from ._steps import Steps
from ._tessera import Session
from .errors import NotLoggedInError, ReusedError

log = logging.getLogger("tessera")

#: Cookies of one name that are tried. Each costs a MAC computation, and possibly a read of the store.
MAXIMUM_CANDIDATES = 4
_MAXIMUM_HEADER_CHARACTERS = 342
_COMPACT = re.compile(r"ts[0-9]\.")


def is_ours(text: str) -> bool:
    """Whether a text may be meant as a token, even a damaged or forged one. Any other text is the credential of another system."""
    if _COMPACT.match(text):
        return True
    header, dot, _ = text[:_MAXIMUM_HEADER_CHARACTERS].partition(".")
    if not dot:
        return False
    try:
        read: Any = json.loads(base64.b64decode(header + "=" * (-len(header) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return False
    return isinstance(read, dict) and cast("dict[str, Any]", read).get("typ") == "tessera+jwt"


def tokens_of(cookie_headers: Iterable[str], name: str) -> list[str] | None:
    """The different tokens in the cookies of this name; ``None`` if there are more than are tried."""
    start, tokens = f"{name}=", list[str]()
    for line in cookie_headers:
        for pair in line.split(";"):
            pair = pair.strip(" \t")
            if not pair.startswith(start):
                continue
            value = pair[len(start) :]
            if value in tokens or not value.isascii() or not is_ours(value):
                continue
            if len(tokens) == MAXIMUM_CANDIDATES:
                return None
            tokens.append(value)
    return tokens


class Opened:
    """A session that was opened for a request."""

    __slots__ = ("session", "state", "token")

    def __init__(self, session: Session, state: str, token: str | None) -> None:
        self.session, self.state, self.token = session, state, token


def opening(engine: Tessera, tokens: list[str] | None) -> Steps:
    """Opens the session of the tokens that a request carries. An outage raises."""
    if tokens is not None and len(tokens) == 1:
        try:
            session = yield engine, "open", (tokens[0],)
        except NotLoggedInError as error:
            _warn(error)
            return Opened(engine.create(), error.kind, None)
        return Opened(session, "live", tokens[0])
    if tokens:
        found = yield from _only_one(engine, tokens)
        if found is not None:
            return Opened(found[0], "live", found[1])
    state = "absent" if tokens == [] else "token-ambiguous"
    return Opened(engine.create(), state, None)


def _only_one(engine: Tessera, tokens: list[str]) -> Steps:
    """Opens the only token that opens a session. Of two tokens of one session, only the newer one is tried, because the older one
    would count as stolen."""
    newest: dict[str, tuple[tuple[int, Any], str]] = {}
    for token in tokens:
        try:
            claims = engine.verify(token)
        except NotLoggedInError:
            continue
        age = (claims.generation, claims.issued_at)
        if claims.public_id not in newest or newest[claims.public_id][0] < age:
            newest[claims.public_id] = (age, token)
    opened: list[tuple[Session, str]] = []
    for _, token in newest.values():
        try:
            session = yield engine, "open", (token,)
        except NotLoggedInError as error:
            _warn(error)
        else:
            opened.append((session, token))
    if len(opened) == 1:
        return opened[0]
    log.warning("of %d different cookies of one name %d open a session: none is used", len(tokens), len(opened))
    return None


def _warn(error: NotLoggedInError) -> None:
    if isinstance(error, ReusedError):
        log.warning("a token was used long after its renewal: it may be stolen")
