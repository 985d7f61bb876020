"""Policies: Python's names and times, and those of ``wit/policy.wit``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypedDict, Union, cast

from ._times import milliseconds
from .errors import ConfigurationError, InvalidPolicyError

#: A duration, as a ``timedelta`` or in seconds.
Time = Union[timedelta, float]


class Policy(TypedDict, total=False):
    """Changes to the default policy. Absent fields keep the engine's defaults, which ``wit/policy.wit`` describes."""

    idle_timeout: Time
    absolute_timeout: Time
    touch_interval: Time
    renew_interval: Time | None
    rotation_grace: Time
    token_lifetime: Time
    sessions_per_subject: int | None
    cap_rule: Literal["evict-oldest", "refuse"]
    field_rule: Literal["later-wins", "conflict"]
    reuse_rule: Literal["report", "end-session"]
    token_format: Literal["compact", "jwt"]
    issuer: str
    audience: str
    clock_skew: Time
    maximum_token_bytes: int
    maximum_name_bytes: int
    maximum_value_bytes: int
    maximum_record_bytes: int
    maximum_fields: int
    record_format: int
    key_prefix: str
    public_fields: Sequence[str]
    token_fields: Sequence[str]


_TIMES = frozenset(
    {
        "idle_timeout",
        "absolute_timeout",
        "touch_interval",
        "renew_interval",
        "rotation_grace",
        "token_lifetime",
        "clock_skew",
    }
)
_LISTS = frozenset({"public_fields", "token_fields"})
_NUMBERS = frozenset(
    {
        "sessions_per_subject",
        "maximum_token_bytes",
        "maximum_name_bytes",
        "maximum_value_bytes",
        "maximum_record_bytes",
        "maximum_fields",
        "record_format",
    }
)
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _refused(field: str, reason: str) -> InvalidPolicyError:
    error = InvalidPolicyError(f"policy: {field} {reason}")
    error.field, error.reason = field, reason
    return error


def _time(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (timedelta, int, float)):
        raise _refused(name, "must be a timedelta, or seconds")
    try:
        time = milliseconds(value)
    except (OverflowError, ValueError):
        raise _refused(name, "is out of range") from None
    if time < 0:
        raise _refused(name, "must not be negative")
    return time


def written(policy: Mapping[str, Any]) -> str:
    """The policy as JSON with WIT's names."""
    fields: dict[str, object] = {}
    for name, value in policy.items():
        wit = name.replace("_", "-")
        if name in _TIMES:
            fields[f"{wit}-ms"] = None if value is None else _time(name, value)
        elif name in _LISTS:
            if isinstance(value, str):
                raise _refused(name, "must be a list of texts")
            fields[wit] = list(value)
        elif name in Policy.__annotations__:
            fields[wit] = value
        else:
            raise _refused(name, "is not a field of a policy")
    try:
        return json.dumps(fields)
    except (TypeError, ValueError):
        raise ConfigurationError("the policy has a value of an unknown type") from None


def read(text: str) -> Policy:
    """The policy of JSON with WIT's names."""
    fields: dict[str, Any] = {}
    for wit, value in json.loads(text).items():
        name = wit.replace("-", "_")
        if name.endswith("_ms"):
            fields[name[:-3]] = None if value is None else timedelta(milliseconds=value)
        else:
            fields[name] = value
    return cast(Policy, fields)


def _duration(variable: str, text: str) -> timedelta:
    """A number with a unit, as ``30m``, which ``tessera serve`` reads."""
    found = re.fullmatch(r"(\d{1,15})(ms|s|m|h|d)", text)
    if found is None:
        raise ConfigurationError(f"{variable} is not a time such as 30s, 15m, 24h or 7d")
    return timedelta(milliseconds=int(found[1]) * _UNITS[found[2]])


def _number(variable: str, text: str) -> int:
    if re.fullmatch(r"\d{1,15}", text) is None:
        raise ConfigurationError(f"{variable} is not a whole number")
    return int(text)


def of_environment() -> tuple[str | None, Policy]:
    """The preset and the policy of the variables ``TESSERA_…``, as ``tessera serve`` reads them."""
    fields: dict[str, Any] = {}
    for name in Policy.__annotations__:
        variable = f"TESSERA_{name.upper()}"
        text = os.environ.get(variable, "")
        if not text:
            continue
        read: Callable[[str, str], object]
        if name in _TIMES:
            read = _duration
        elif name in _NUMBERS:
            read = _number
        elif name in _LISTS:
            fields[name] = [part.strip() for part in text.split(",")]
            continue
        else:
            fields[name] = text.lower() if name.endswith(("_rule", "_format")) else text
            continue
        fields[name] = read(variable, text)
    preset = os.environ.get("TESSERA_PRESET", "").lower() or None
    return preset, cast(Policy, fields)
