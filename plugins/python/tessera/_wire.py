"""Operations, replies and capabilities of stores as JSON; ``docs/conformance.md`` describes the form."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from . import stores
from ._times import milliseconds
from .stores import Capabilities, Deletion, Entry, IfGuard, IfOwner, IfVersion, Page, Placement, Row, StoreError

#: The names of the methods, and what their arguments are read by, in their order.
Arguments = tuple[str, tuple[object, ...]]


def _optional(text: str | None) -> int | None:
    return None if text is None else int(text)


def _placement(at: dict[str, Any]) -> Placement:
    return Placement(
        owner=at["owner"],
        previous_owner=at["previousOwner"],
        guard=_optional(at.get("guard")),
        expires_at=int(at["expiresAt"]),
        ends_at=int(at["endsAt"]),
    )


def _expected(expected: dict[str, str]) -> IfVersion | IfGuard:
    number = int(expected["val"])
    return IfVersion(number) if expected["tag"] == "version" else IfGuard(number)


def _condition(condition: dict[str, str]) -> IfOwner | IfGuard:
    if condition["tag"] == "owner":
        return IfOwner(condition["val"])
    return IfGuard(int(condition["val"]))


_READERS: dict[str, Callable[[dict[str, Any]], Arguments]] = {
    "get": lambda op: ("get", (op["key"], op["fresh"])),
    "get-many": lambda op: ("get_many", (op["keys"],)),
    "insert": lambda op: ("insert", (op["key"], op["value"], _placement(op["at"]))),
    "replace": lambda op: (
        "replace",
        (op["key"], op["value"], _expected(op["expected"]), _placement(op["at"])),
    ),
    "touch": lambda op: ("touch", (op["key"], op["owner"], int(op["expiresAt"]))),
    "delete": lambda op: ("delete", (op["key"], _condition(op["while"]))),
    "delete-many": lambda op: (
        "delete_many",
        ([Deletion(one["key"], _optional(one.get("guard"))) for one in op["deletions"]], op["owner"]),
    ),
    "list-owned": lambda op: ("list_owned", (op["owner"], op["cursor"], op["limit"])),
}
_READS = frozenset({"get", "get_many", "list_owned"})


def read_operation(operation: dict[str, Any]) -> Arguments:
    """The method of an operation, and its arguments after ``now``."""
    return _READERS[operation["operation"]](operation)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "value": entry.value,
        "version": str(entry.version),
        "guard": str(entry.guard),
        "expiresAt": str(entry.expires_at),
    }


def _row(row: Row) -> dict[str, Any]:
    written = {
        "key": row.key,
        "version": str(row.version),
        "guard": str(row.guard),
        "touchedAt": str(row.touched_at),
        "expiresAt": str(row.expires_at),
    }
    return written if row.value is None else {**written, "value": row.value}


def _page(page: Page) -> dict[str, Any]:
    written: dict[str, Any] = {"rows": [_row(row) for row in page.rows]}
    return written if page.next is None else {**written, "next": page.next}


def _error(error: StoreError) -> dict[str, Any]:
    written: dict[str, Any] = {"tag": error.tag}
    if isinstance(error, stores.Throttled):
        written["val"] = str(milliseconds(error.retry_after))
    elif error.tag in ("unavailable", "other"):
        written["val"] = str(error)
    return {"tag": "err", "val": written}


def _each(entries: Sequence[Entry | StoreError]) -> list[dict[str, Any]]:
    return [
        _error(each) if isinstance(each, StoreError) else {"tag": "ok", "val": _entry(each)} for each in entries
    ]


_WRITERS: dict[str, Callable[[Any], Any]] = {
    "get": _entry,
    "get_many": _each,
    "insert": str,
    "replace": str,
    "touch": lambda _: None,
    "delete": bool,
    "delete_many": int,
    "list_owned": _page,
}


def write_reply(method: str, result: object) -> str:
    """The reply with the result of a method."""
    return json.dumps({"tag": "ok", "val": _WRITERS[method](result)})


def write_failure(method: str, error: BaseException) -> str:
    """The reply with what a method has raised. After an unforeseen exception, a write may have been applied."""
    if not isinstance(error, StoreError):
        text = f"the store has raised {type(error).__name__}"
        error = StoreError(text) if method in _READS else stores.OutcomeUnknown(text)
    return json.dumps(_error(error))


def write_capabilities(capabilities: Capabilities) -> str:
    """The capabilities as JSON."""
    return json.dumps(
        {
            "compareAndSwap": capabilities.compare_and_swap,
            "listByOwner": capabilities.list_by_owner,
            "acknowledgedWritesSurviveFailover": capabilities.acknowledged_writes_survive_failover,
            "maximumStalenessMs": str(milliseconds(capabilities.maximum_staleness)),
            "indexStalenessMs": str(milliseconds(capabilities.index_staleness)),
            "minimumTtlMs": str(milliseconds(capabilities.minimum_ttl)),
            "expiryResolutionMs": str(milliseconds(capabilities.expiry_resolution)),
            "minimumWriteIntervalMs": str(milliseconds(capabilities.minimum_write_interval)),
            "maximumKeyBytes": capabilities.maximum_key_bytes,
            "maximumOwnerBytes": capabilities.maximum_owner_bytes,
            "maximumValueBytes": capabilities.maximum_value_bytes,
        }
    )


def read_capabilities(text: str) -> Capabilities:
    """The capabilities of JSON."""
    read = json.loads(text)

    def time(name: str) -> timedelta:
        return timedelta(milliseconds=int(read[name]))

    return Capabilities(
        compare_and_swap=read["compareAndSwap"],
        list_by_owner=read["listByOwner"],
        acknowledged_writes_survive_failover=read["acknowledgedWritesSurviveFailover"],
        maximum_staleness=time("maximumStalenessMs"),
        index_staleness=time("indexStalenessMs"),
        minimum_ttl=time("minimumTtlMs"),
        expiry_resolution=time("expiryResolutionMs"),
        minimum_write_interval=time("minimumWriteIntervalMs"),
        maximum_key_bytes=read["maximumKeyBytes"],
        maximum_owner_bytes=read["maximumOwnerBytes"],
        maximum_value_bytes=read["maximumValueBytes"],
    )
