"""The sessions that Django's settings describe."""

from __future__ import annotations

import threading

from django.conf import settings
from django.core.signals import setting_changed

from .._engine import Tessera

_lock = threading.Lock()
_made: Tessera | None = None


def engine() -> Tessera:
    """The sessions of ``settings.TESSERA``, which are opened on first use."""
    global _made
    if _made is None:
        with _lock:
            if _made is None:
                arguments = getattr(settings, "TESSERA", None)
                _made = Tessera.from_environment() if arguments is None else Tessera(**arguments)
    return _made


def _changed(*, setting: str, **_: object) -> None:
    """Tests change settings."""
    global _made
    if setting == "TESSERA":
        _made = None


setting_changed.connect(_changed)
