"""The responses for errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from .errors import ContendedError, NotLoggedInError, OutageError, SessionError, ThrottledError

log = logging.getLogger("tessera")

_TITLES = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    413: "Payload Too Large",
    422: "Unprocessable Entity",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_STATUSES = {
    "contended": 409,
    "conflict": 409,
    "draft": 409,
    "too-many-sessions": 409,
    "limit-exceeded": 413,
    "invalid-argument": 422,
    "invalid-value": 422,
    "subject-required": 422,
    "invalid-csrf-token": 403,
    "unsupported": 501,
}


def status_of(error: SessionError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, NotLoggedInError):
        return 401
    if error.kind in _STATUSES:
        return _STATUSES[error.kind]
    return 503 if isinstance(error, OutageError) else 500


def problem(error: SessionError) -> tuple[int, list[tuple[str, str]], bytes]:
    """The response for an error (RFC 9457): its status, headers and body. The cause is for the operator alone."""
    status = status_of(error)
    if status >= 500:
        log.error("%s: %s %s", error.kind, error, getattr(error, "reason", ""))
    body: Mapping[str, object] = {
        "code": error.kind,
        "detail": "the service failed; see its log" if status in (500, 501, 502) else str(error),
        "status": status,
        "title": _TITLES[status],
    }
    headers = [("content-type", "application/problem+json"), ("cache-control", "no-store")]
    if status == 401:
        headers.append(("www-authenticate", 'Bearer error="invalid_token"'))
    if status == 503 or isinstance(error, ContendedError):
        pause = error.retry_after.total_seconds() if isinstance(error, ThrottledError) else 1
        headers.append(("retry-after", str(max(1, -int(-pause // 1)))))
    text = json.dumps(body, separators=(",", ":")).encode()
    headers.append(("content-length", str(len(text))))
    return status, headers, text
