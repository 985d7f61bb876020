"""Help for tests of programs that use sessions."""

from __future__ import annotations

from ._tessera import Clock

__all__ = ["Clock"]
