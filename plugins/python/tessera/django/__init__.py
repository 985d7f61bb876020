"""Sessions for Django: a session engine, and middleware.

In ``settings.py``::

    SESSION_ENGINE = "tessera.django.sessions"
    TESSERA = {"store": "redis://127.0.0.1", "keys": BASE_DIR / "keys.json"}

and in ``MIDDLEWARE`` ``tessera.django.SessionMiddleware`` in place of ``django.contrib.sessions.middleware.SessionMiddleware``.
``TESSERA`` has the arguments of :class:`tessera.Tessera`; without it, the variables ``TESSERA_…`` of the environment count. The
cookie is that of Django's ``SESSION_COOKIE_…`` settings.
"""

from ._configured import engine
from .middleware import SessionMiddleware

__all__ = ["SessionMiddleware", "engine"]
