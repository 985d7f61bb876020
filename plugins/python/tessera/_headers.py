"""The headers of a response whose request has a session."""

from __future__ import annotations

from collections.abc import Iterable


def merge(
    headers: Iterable[tuple[str, str]], more: Iterable[tuple[str, str]], accessed: bool
) -> list[tuple[str, str]]:
    """Adds headers to those of a response, and reserves a response that depends on a session to its client (RFC 9111, sections
    3.5 and 4.1)."""
    merged = list(headers)
    added = list(more)
    if any(name == "cache-control" for name, _ in added):
        merged = [pair for pair in merged if pair[0].lower() != "cache-control"]
    elif accessed and not any(name.lower() == "cache-control" for name, _ in merged):
        # A browser revalidates before it shows a page of a session that may have ended.
        added.append(("cache-control", "private, no-cache"))
    if accessed:
        named = {
            part.strip().lower() for name, value in merged if name.lower() == "vary" for part in value.split(",")
        }
        if not named & {"*", "cookie"}:
            added.append(("vary", "Cookie"))
    return merged + added
