"""The errors of sessions: one class for each kind, and classes for what a program does about them.

``NotLoggedInError`` says that the client is not logged in; ``OutageError`` that the failure is temporary, of the store or the
engine. No error is both, so that an outage never looks like a logout. No message contains a token, a key, a session id or a
value.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

__all__ = [
    "BusyError",
    "ClosedError",
    "ConfigurationError",
    "ConflictError",
    "ContendedError",
    "CorruptError",
    "DraftError",
    "ExpiredError",
    "ForkedError",
    "FullError",
    "InstanceLostError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidCsrfTokenError",
    "InvalidKeyError",
    "InvalidPolicyError",
    "InvalidTokenError",
    "InvalidValueError",
    "LimitExceededError",
    "MissingError",
    "NotLoggedInError",
    "OtherError",
    "OutageError",
    "OutcomeUnknownError",
    "ReplacedError",
    "ReusedError",
    "SessionError",
    "SubjectRequiredError",
    "TesseraError",
    "ThrottledError",
    "TooManySessionsError",
    "UnavailableError",
    "UnsupportedError",
]


class TesseraError(Exception):
    """Any error of this package.

    ``kind`` is its stable name, as in ``wit/policy.wit``.
    """

    kind: str = "other"


class ConfigurationError(TesseraError, ValueError):
    """The store, the policy or the keys cannot be used."""

    kind = "configuration"


class InvalidPolicyError(ConfigurationError):
    """The policy is invalid, or the store cannot honour it. ``field`` is the field, ``reason`` why."""

    kind = "invalid-policy"
    field: str = ""
    reason: str = ""


class InvalidKeyError(ConfigurationError):
    """A signing key is invalid, or there is none. ``key`` is its position in the ring, ``reason`` why."""

    kind = "invalid-key"
    key: str = ""
    reason: str = ""


class SessionError(TesseraError):
    """The error of a call."""


class NotLoggedInError(SessionError):
    """The client is not logged in: its token is invalid, or its session has ended."""


class MissingError(NotLoggedInError):
    """No live session has this token: it has ended, or never existed."""

    kind = "missing"


class ExpiredError(NotLoggedInError):
    """The session or token has expired, or the token is older than the caller allows."""

    kind = "expired"


class ReplacedError(NotLoggedInError):
    """The token was replaced by a login or a step-up, or is otherwise out of date."""

    kind = "replaced"


class ReusedError(NotLoggedInError):
    """The token was renewed, and its grace period has passed: it may be stolen."""

    kind = "reused"


class ClosedError(NotLoggedInError):
    """This session object was closed by ``destroy``, or its session was found ended."""

    kind = "closed"


class InvalidTokenError(NotLoggedInError):
    """The token is not a valid token of this issuer and audience. ``kind`` names the fault, such as ``token-mac-wrong``."""

    kind = "token-malformed"
    #: For ``token-not-yet-valid``: how far in the future it becomes valid.
    ahead: timedelta = timedelta(0)


class OutageError(SessionError):
    """The failure is temporary: a later retry may succeed."""


class BusyError(OutageError):
    """Another call on the same session object is in progress."""

    kind = "busy"


class ContendedError(OutageError):
    """Concurrent writers won in every attempt; nothing was written."""

    kind = "contended"


class ThrottledError(OutageError):
    """The store limits the rate of calls; nothing was written. Retry after ``retry_after``."""

    kind = "throttled"
    retry_after: timedelta = timedelta(0)


class FullError(OutageError):
    """The store has no free space; nothing was written."""

    kind = "full"


class OutcomeUnknownError(OutageError):
    """The outcome of a write is unknown: it may or may not be stored."""

    kind = "outcome-unknown"
    reason: str = ""


class UnavailableError(OutageError):
    """The store cannot be reached; nothing was written."""

    kind = "unavailable"
    reason: str = ""


class InstanceLostError(OutageError):
    """The engine's instance was lost; nothing was written."""

    kind = "instance-lost"


class ForkedError(SessionError):
    """The object is of the process before a fork: open the session again in this one."""

    kind = "forked"


class InvalidCsrfTokenError(SessionError):
    """The CSRF token does not belong to this session."""

    kind = "invalid-csrf-token"


class InvalidArgumentError(SessionError, ValueError):
    """An argument is invalid. ``argument`` is its name, ``reason`` why, as a verb phrase."""

    kind = "invalid-argument"
    argument: str = ""
    reason: str = ""


class InvalidValueError(SessionError, ValueError):
    """A field's value is invalid, for the reason in ``reason``."""

    kind = "invalid-value"
    reason: str = ""


class LimitExceededError(SessionError):
    """A limit of the policy was exceeded; nothing was changed.

    ``limit`` is the policy's field, such as ``maximum-fields``, and ``maximum`` what it allows.
    """

    kind = "limit-exceeded"
    limit: str = ""
    maximum: int = 0


class ConflictError(SessionError):
    """Concurrent writers changed the fields in ``fields``; nothing was written. Only with the field rule ``conflict``."""

    kind = "conflict"
    fields: tuple[str, ...] = ()


class TooManySessionsError(SessionError):
    """The subject has as many sessions as the policy allows, and the policy refuses another."""

    kind = "too-many-sessions"


class SubjectRequiredError(SessionError):
    """A JWT needs a subject: authenticate the session first."""

    kind = "subject-required"


class DraftError(SessionError):
    """The session is a draft that was never saved."""

    kind = "draft"


class UnsupportedError(SessionError):
    """The store does not support an operation that the call needs."""

    kind = "unsupported"
    reason: str = ""


class CorruptError(SessionError):
    """The stored record cannot be read."""

    kind = "corrupt"
    reason: str = ""


class OtherError(SessionError):
    """Any other failure."""

    kind = "other"
    reason: str = ""


class InternalError(SessionError):
    """A fault of this package. The engine goes on; please report it."""

    kind = "internal"


def _field(error: InvalidPolicyError, about: str, reason: str, number: int) -> None:
    error.field, error.reason = about, reason


def _key(error: InvalidKeyError, about: str, reason: str, number: int) -> None:
    error.key, error.reason = about, reason


def _argument(error: InvalidArgumentError, about: str, reason: str, number: int) -> None:
    error.argument, error.reason = about, reason


def _limit(error: LimitExceededError, about: str, reason: str, number: int) -> None:
    error.limit, error.maximum = about, number


def _fields(error: ConflictError, about: str, reason: str, number: int) -> None:
    error.fields = tuple(about.split("\n")) if about else ()


def _pause(error: ThrottledError, about: str, reason: str, number: int) -> None:
    error.retry_after = timedelta(milliseconds=number)


def _ahead(error: InvalidTokenError, about: str, reason: str, number: int) -> None:
    error.ahead = timedelta(milliseconds=number)


def _reason(
    error: InvalidValueError | UnsupportedError | CorruptError | OtherError | UnavailableError | OutcomeUnknownError,
    about: str,
    reason: str,
    number: int,
) -> None:
    error.reason = reason


def _leaves(of: type[TesseraError]) -> dict[str, type[TesseraError]]:
    found: dict[str, type[TesseraError]] = {}
    for one in of.__subclasses__():
        if "kind" in vars(one):
            found[one.kind] = one
        found.update(_leaves(one))
    return found


_CLASSES = _leaves(TesseraError)
_MEMBERS: dict[type[TesseraError], Callable[..., None]] = {
    InvalidPolicyError: _field,
    InvalidKeyError: _key,
    InvalidArgumentError: _argument,
    LimitExceededError: _limit,
    ConflictError: _fields,
    ThrottledError: _pause,
    InvalidTokenError: _ahead,
    InvalidValueError: _reason,
    UnsupportedError: _reason,
    CorruptError: _reason,
    OtherError: _reason,
    UnavailableError: _reason,
    OutcomeUnknownError: _reason,
}


def _of_kind(kind: str, message: str, about: str = "", reason: str = "", number: int = 0) -> TesseraError:
    """The error of a kind, for the extension module."""
    of_token = kind.startswith("token-")
    error = (InvalidTokenError if of_token else _CLASSES.get(kind, OtherError))(message)
    error.kind = kind
    members = _MEMBERS.get(type(error))
    if members is not None:
        members(error, about, reason, number)
    return error
