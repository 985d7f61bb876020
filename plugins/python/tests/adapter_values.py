"""The values, results and errors of the conformance adapter, in the form of ``docs/conformance.md``."""

from __future__ import annotations

import base64
import json
from typing import Any

import tessera
from tessera._times import milliseconds
from tessera.errors import TesseraError


#: The value of a field that there is not.
ABSENT = object()


class AdapterError(Exception):
    """The adapter cannot take a step."""


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def typed_of(value: dict[str, Any]) -> tuple[str, Any]:
    ((kind, content),) = value.items()
    readers = {
        "null": lambda _: None,
        "integer": int,
        "float": float,
        "bytes": from_base64url,
    }
    return kind, readers.get(kind, lambda same: same)(content)


def shown(typed: tuple[str, Any]) -> dict[str, Any]:
    kind, content = typed
    if kind == "null":
        return {"null": True}
    if kind == "integer":
        return {kind: str(content)}
    if kind == "bytes":
        return {kind: to_base64url(content)}
    if kind == "float" and content == 0 and str(content).startswith("-"):
        return {kind: "-0.0"}
    return {kind: content}


def check_same(typed: tuple[str, Any], value: object) -> None:
    """A program reads the value that the engine has."""
    kind, content = typed
    wanted = json.loads(content) if kind == "json" else content
    if type(wanted) is not type(value) or wanted != value:
        raise AdapterError(f"a field of {kind} is read as {type(value).__name__}")


def python_of(value: Any) -> dict[str, Any]:
    """The value of a field in a list of sessions, whose type Python has."""
    kinds = {bool: "boolean", int: "integer", float: "float", str: "text", bytes: "bytes", type(None): "null"}
    kind = kinds.get(type(value))
    if kind is None:
        return {"json": json.dumps(value, separators=(",", ":"), ensure_ascii=False)}
    return shown((kind, value))


def check_absent_or_same(typed: tuple[str, Any] | None, value: object) -> None:
    if typed is None:
        if value is not ABSENT:
            raise AdapterError("an absent field has a value")
    else:
        check_same(typed, value)


def grant_of(grant: tessera.Grant) -> dict[str, Any]:
    expires_at, ends_at = grant._milliseconds()
    return {"token": grant.token, "expires-at": expires_at, "ends-at": ends_at}


def details_of(details: tessera.Details) -> dict[str, Any]:
    created_at, authenticated_at, expires_at, ends_at = details._milliseconds()
    return {
        "status": details.status,
        "public-id": details.public_id,
        "subject": details.subject,
        "created-at": created_at,
        "authenticated-at": authenticated_at,
        "expires-at": expires_at,
        "ends-at": ends_at,
        "generation": details.generation,
        "touch-due": details.touch_due,
        "renew-due": details.renew_due,
        "reissue-due": details.reissue_due,
        "modified": details.modified,
    }


def claims_of(claims: tessera.Claims) -> dict[str, Any]:
    issued_at, expires_at = claims._milliseconds()
    return {
        "public-id": claims.public_id,
        "generation": claims.generation,
        "issued-at": issued_at,
        "expires-at": expires_at,
        "subject": claims.subject,
        "data": claims.data,
    }


def summary_of(summary: tessera.SessionSummary) -> dict[str, Any]:
    created_at, authenticated_at, last_seen_at, expires_at, ends_at = summary._milliseconds()
    return {
        "public-id": summary.public_id,
        "created-at": created_at,
        "authenticated-at": authenticated_at,
        "last-seen-at": last_seen_at,
        "expires-at": expires_at,
        "ends-at": ends_at,
        "current": summary.current,
        "fields": {name: python_of(value) for name, value in summary.fields.items()},
    }


def error_of(error: TesseraError) -> dict[str, Any]:
    shown: dict[str, Any] = {"error": error.kind}
    for member in ("field", "key", "argument", "limit"):
        if member in vars(error):
            shown["about"] = getattr(error, member)
    if "fields" in vars(error):
        shown["about"] = "\n".join(error.fields)  # type: ignore[attr-defined]
    if "maximum" in vars(error):
        shown["number"] = error.maximum  # type: ignore[attr-defined]
    if "retry_after" in vars(error):
        shown["number"] = milliseconds(error.retry_after)  # type: ignore[attr-defined]
    if getattr(error, "reason", ""):
        shown["reason"] = error.reason  # type: ignore[attr-defined]
    return shown
