"""Times: ``datetime`` in UTC, and milliseconds since 1970 inside."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST = datetime.max.replace(tzinfo=timezone.utc)


def moment(milliseconds: int) -> datetime:
    """The time as a ``datetime``; one beyond the year 9999 is the last of that year."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _LAST


def milliseconds(time: timedelta | float) -> int:
    """A duration, as a ``timedelta`` or in seconds, in whole milliseconds."""
    if not isinstance(time, timedelta):
        time = timedelta(seconds=time)
    return time // timedelta(milliseconds=1)
