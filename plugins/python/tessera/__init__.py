"""Login sessions that services in several languages share.

>>> from tessera import SigningKey, Tessera
>>> sessions = Tessera("memory:", keys=[SigningKey.generate()])
>>> session = sessions.create()
>>> session["theme"] = "dark"
>>> token = session.authenticate("alice", keep="everything").token
>>> sessions.open(token)["theme"]
'dark'

Every call that may need the store has a second form for asyncio, whose name begins with ``a``.
"""

from ._engine import Tessera
from ._keys import Keys, SigningKey
from ._policy import Policy
from ._tessera import Claims, Details, Grant, Session, SessionPage, SessionSummary, component
from .cookies import Cookie
from .errors import (
    ConfigurationError,
    NotLoggedInError,
    OutageError,
    SessionError,
    TesseraError,
)

__all__ = [
    "Claims",
    "ConfigurationError",
    "Cookie",
    "Details",
    "Grant",
    "Keys",
    "NotLoggedInError",
    "OutageError",
    "Policy",
    "Session",
    "SessionError",
    "SessionPage",
    "SessionSummary",
    "SigningKey",
    "Tessera",
    "TesseraError",
    "component",
]

#: The SHA-256 of the engine's component. Hosts in all languages run the same bytes.
COMPONENT_SHA256 = component()
