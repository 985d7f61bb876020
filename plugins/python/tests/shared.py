"""A service in Python beside one in Rust, over one store: takes orders as JSON lines, and answers each with one line.

``python shared.py STORE``
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from tessera import Tessera, errors

sessions = Tessera(sys.argv[1], keys={"k": b"-" * 32})
token = ""


def save(order: dict[str, Any]) -> object:
    """Changes fields of the session."""
    session = sessions.open(order["token"])
    session.update(order["fields"])
    session.save()
    return dict(session.items())


def login(order: dict[str, Any]) -> object:
    """Logs a subject in, in a new session."""
    session = sessions.create()
    session.update(order["fields"])
    return session.authenticate(order["subject"]).token


def rotate(order: dict[str, Any]) -> object:
    """Renews the token."""
    return sessions.open(order["token"]).rotate().token


def read(order: dict[str, Any]) -> object:
    """The fields and the subject."""
    session = sessions.open(order["token"])
    return {"fields": dict(session.items()), "subject": session.subject}


def logout(order: dict[str, Any]) -> object:
    """Ends the session."""
    return sessions.open(order["token"]).destroy()


def race(order: dict[str, Any]) -> object:
    """Saves one field after the other from several threads, until the session has ended; returns what was acknowledged."""
    acknowledged: list[str] = []

    def use(thread: int) -> None:
        for number in range(order["count"]):
            # A session has at most 256 fields.
            name = f"python.{thread}.{number % 25}"
            while True:
                try:
                    session = sessions.open(order["token"])
                    session[name] = number
                    session.save()
                    acknowledged.append(name)
                    break
                except errors.ContendedError:
                    pass
                except errors.NotLoggedInError:
                    return

    threads = [threading.Thread(target=use, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return acknowledged


for line in sys.stdin:
    order = json.loads(line)
    try:
        answer = {"ok": globals()[order["do"]](order)}
    except errors.SessionError as error:
        answer = {"error": error.kind}
    print(json.dumps(answer), flush=True)
