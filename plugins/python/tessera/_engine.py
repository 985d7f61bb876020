"""``Tessera``: sessions over a store."""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Literal

from . import _keys, _policy
from ._keys import Keys
from ._policy import Policy, Time
from ._tessera import Claims, Engine, Clock, SessionSummary, begin_end, end
from ._times import milliseconds, moment
from .errors import ConfigurationError, TesseraError
from .stores import AsyncStore, Store

#: The store of ``Tessera.from_environment``, as for ``tessera serve``.
STORE_VARIABLE = "TESSERA_STORE"

Preset = Literal["standard", "aal1", "aal2", "aal3"]


class Tessera(Engine):
    """Creates, opens, lists and ends sessions. Usable from any number of threads and event loops, and after a fork.

    ``store``: a URL (``memory:``, ``sqlite:PATH``, ``redis://…``, ``redis+cluster://…``, ``redis+sentinel://…``,
    ``postgres://…``, ``mysql://…``, each also as ``cached+…``), or a store of your own (:mod:`tessera.stores`). It is opened at
    once, and again in a forked process; ``memory:`` is empty there.

    ``keys``: the path of a key file, as ``tessera key new`` writes it; or keys, of which the first signs and all verify. By
    default the variable ``TESSERA_KEYS`` or ``TESSERA_KEY_FILE``.

    ``policy``: changes to the default policy. ``preset``: the timeouts of an assurance level of NIST SP 800-63B-4.

    ``clock``: a :class:`tessera.testing.Clock` for tests. ``remembered_sessions``: the number of remembered opens (65 536).
    ``queue_places``: the places of the queues of writers to one session (1024). ``instances``: the number of instances of the
    engine (one for each core).

    Raises :class:`~tessera.errors.ConfigurationError`.
    """

    def __new__(
        cls,
        store: str | Store | AsyncStore,
        *,
        keys: Keys | None = None,
        policy: Policy | None = None,
        preset: Preset | None = None,
        clock: Clock | None = None,
        remembered_sessions: int | None = None,
        queue_places: int | None = None,
        instances: int | None = None,
    ) -> Tessera:
        """Opens the store."""
        made: Tessera = super().__new__(
            cls,
            store,
            keys=_keys.ring(keys),
            policy=_policy.written(policy or {}),
            preset=preset,
            clock=clock,
            remembered_sessions=remembered_sessions,
            queue_places=queue_places,
            instances=instances,
        )
        _open.add(made)
        return made

    @classmethod
    def from_environment(cls) -> Tessera:
        """Sessions as the variables ``TESSERA_STORE``, ``TESSERA_KEYS`` and those of the policy describe them.

        They are the variables of ``tessera serve``, so that both have one configuration.
        """
        url = os.environ.get(STORE_VARIABLE, "")
        if not url:
            raise ConfigurationError(f"{STORE_VARIABLE} is not set: it has the URL of the store")
        preset, policy = _policy.of_environment()
        return cls(url, policy=policy, preset=preset)  # type: ignore[arg-type]

    @property
    def policy(self) -> Policy:
        """All fields of the policy in force."""
        return _policy.read(self._policy())

    def now(self) -> datetime:
        """The time of the clock that determines expiry."""
        return moment(self._now())

    def verify(self, token: str, max_age: Time | None = None) -> Claims:
        """Verifies a token without the store: its signature, dates, issuer and audience.

        The token of a revoked session is accepted until it is ``max_age`` old, counted from its time of issue; without it,
        until it expires.

        Raises :class:`~tessera.errors.InvalidTokenError` and :class:`~tessera.errors.ExpiredError`.
        """
        return self._verify(token, None if max_age is None else milliseconds(max_age))

    def replace_keys(self, keys: Keys) -> None:
        """Replaces the key ring while sessions are in use.

        Raises :class:`~tessera.errors.InvalidKeyError`; the ring is unchanged then.
        """
        self._replace_keys(_keys.ring(keys))

    def list_all(self, subject: str, *, current: str | None = None) -> Iterator[SessionSummary]:
        """All live sessions of a subject, page by page."""
        cursor: str | None = None
        while True:
            page = self.list(subject, current=current, cursor=cursor)
            yield from page.items
            cursor = page.next
            if cursor is None:
                return

    async def alist_all(self, subject: str, *, current: str | None = None) -> AsyncIterator[SessionSummary]:
        """As :meth:`list_all`."""
        cursor: str | None = None
        while True:
            page = await self.alist(subject, current=current, cursor=cursor)
            for item in page.items:
                yield item
            cursor = page.next
            if cursor is None:
                return

    def __enter__(self) -> Tessera:
        """Sessions until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the store."""
        self.close()


_open: weakref.WeakSet[Tessera] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    begin_end()
    for made in list(_open):
        with contextlib.suppress(TesseraError):
            made.close()
    # Also the writes of engines that are gone.
    end()
