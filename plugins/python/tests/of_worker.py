"""A session of the Worker in a file of Python's: ``python of_worker.py FILE FORMAT TOKEN``.

Changes the session, logs another subject in, and prints what it has read and the new token as JSON.
"""

from __future__ import annotations

import json
import sys

from tessera import Tessera

file, token_format, token = sys.argv[1:]
policy = {"token_format": token_format, "issuer": "https://login.example", "audience": "shop"}
sessions = Tessera(f"sqlite:{file}", keys={"2026-01": b"\x07" * 32}, policy=policy)  # type: ignore[arg-type]
session = sessions.open(token)
read = {"subject": session.subject, "fields": dict(session.items())}
other = sessions.create()
other["city"] = "Köln"
other["list"] = [1, 2.5]
print(json.dumps({"read": read, "token": other.authenticate("bob", keep="everything").token}))
sessions.close()
