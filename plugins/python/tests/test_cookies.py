"""The cookie of a session."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tessera import Cookie, errors


def test_cookies_have_the_bytes_of_the_vectors() -> None:
    vectors = Path(__file__).parents[3] / "http/vectors/cookies.json"
    for vector in json.loads(vectors.read_text()):
        settings = dict(vector["cookie"])
        settings["formerly"] = tuple(tuple(scope) for scope in settings.pop("formerly", []))
        if "refused" in vector:
            with pytest.raises(errors.ConfigurationError) as raised:
                Cookie(**settings)
            assert str(raised.value) == vector["refused"]
            continue
        cookie = Cookie(**settings)
        if vector.get("set") is None:
            with pytest.raises(errors.ConfigurationError, match="4096"):
                cookie.set(vector["token"], vector["remaining"])
        else:
            assert cookie.set(vector["token"], vector["remaining"]) == vector["set"]
        assert [*cookie.remove_twins(), cookie.remove()] == vector["removals"]
