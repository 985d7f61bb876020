"""The conformance adapter opens the store of ``examples/own_store.py``, over which the runner has its suite."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import python

ADAPTER = str(Path(__file__).with_name("adapter.py"))
AT = {"owner": "o", "previousOwner": None, "guard": "3", "expiresAt": "100", "endsAt": "200"}


@pytest.mark.parametrize("calls", ["blocking", "asyncio"])
def test_the_adapter_opens_the_own_store_of_the_example(calls: str) -> None:
    with subprocess.Popen(python(ADAPTER, calls), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as adapter:
        assert adapter.stdin is not None and adapter.stdout is not None
        assert json.loads(adapter.stdout.readline())["type"] == "hello"

        def take(step: str, now: int = 0, **members: Any) -> Any:
            line = {"type": "step", "id": now, "now": now, "step": step, "members": members}
            print(json.dumps(line), file=adapter.stdin, flush=True)
            answer = json.loads(adapter.stdout.readline())
            assert (answer["type"], answer["id"]) == ("done", now), answer
            return answer["result"]

        opened, other = take("open-store", url="own:"), take("open-store", url="own:")
        assert opened["capabilities"]["compareAndSwap"] and opened["capabilities"]["listByOwner"]

        def call(now: int, store: Any = opened["store"], **operation: Any) -> Any:
            return take("call-store", now, store=store, operation=operation)

        version = call(1, operation="insert", key="k", value="v", at=AT)["val"]
        found = {"value": "v", "version": version, "guard": "3", "expiresAt": "100"}
        assert call(2, operation="get", key="k", fresh=True) == {"tag": "ok", "val": found}
        assert call(3, operation="insert", key="k", value="w", at=AT) == {"tag": "err", "val": {"tag": "stale"}}
        # Another store has other entries, and the time of an operation is that of its line.
        missing = {"tag": "err", "val": {"tag": "missing"}}
        assert call(4, other["store"], operation="get", key="k", fresh=True) == missing
        assert call(100, operation="get", key="k", fresh=True) == missing
        assert take("close-store", 101, store=opened["store"]) is None
        adapter.stdin.close()
        assert adapter.wait(20) == 0
