"""Keys, policies and stores as programs and environments name them."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import KEYS

from tessera import SigningKey, Tessera, errors

KEY = "LS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0"


def text(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": list(keys)})


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TESSERA_KEYS", "TESSERA_KEY_FILE", "TESSERA_STORE", "TESSERA_PRESET"):
        monkeypatch.delenv(name, raising=False)


def test_keys_come_from_a_file_from_objects_and_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text({"id": "k", "secret": KEY, "signed_until": 7}))
    token = Tessera("memory:", keys=path).create().save().token or ""
    for keys in (str(path), KEYS, [SigningKey("k", KEYS["k"])], [("k", KEYS["k"])]):
        Tessera("memory:", keys=keys).verify(token)
    monkeypatch.setenv("TESSERA_KEY_FILE", str(path))
    Tessera("memory:").verify(token)
    monkeypatch.setenv("TESSERA_KEYS", path.read_text())
    with pytest.raises(errors.ConfigurationError, match="only one of them"):
        Tessera("memory:")
    monkeypatch.delenv("TESSERA_KEY_FILE")
    Tessera("memory:").verify(token)


def test_the_contents_of_a_key_file_in_place_of_its_path_are_refused_without_being_quoted() -> None:
    contents = json.dumps({"keys": [{"id": "k", "secret": "c2VjcmV0"}]})
    with pytest.raises(errors.ConfigurationError) as refused:
        Tessera("memory:", keys=contents)
    assert "c2VjcmV0" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "file",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [1]}',
        text({"id": "k"}),
        text({"id": 1, "secret": KEY}),
        text({"id": "k", "secret": KEY + "="}),
        text({"id": "k", "secret": "s3cr3t!"}),
        text({"id": "k", "secret": KEY, "more": 1}),
        text({"id": "k", "secret": KEY[:-1] + "\u00e9"}),
        text({"id": "k", "secret": KEY[:-1] + "\ud800"}),
        text({"id": "k", "secret": KEY}) + "}",
        f'{{"keys": [{"7" * 5000}, "{KEY}"]}}',
        "[" * 100_000,
        f'{{"keys": ["{KEY}", {"[" * 100_000}',
        b'{"keys": "' + KEY.encode() + b'\xff"}',
    ],
    ids=lambda file: f"{len(file)}-{file[:8]!r}",
)
def test_a_file_that_has_no_keys_is_refused_without_being_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | bytes
) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(file.encode() if isinstance(file, str) else file)
    used = Tessera("memory:", keys=KEYS)

    def refused(name: str, read: Callable[[], object]) -> None:
        with pytest.raises(errors.ConfigurationError) as raised:
            read()
        assert name in str(raised.value)
        assert KEY not in str(raised.value) and "s3cr3t" not in str(raised.value)
        # The exceptions of Python about a text have it as an attribute.
        assert raised.value.__context__ is None and raised.value.__cause__ is None

    refused(str(path), lambda: Tessera("memory:", keys=path))
    refused(str(path), lambda: used.replace_keys(path))
    monkeypatch.setenv("TESSERA_KEY_FILE", str(path))
    refused(str(path), lambda: Tessera("memory:"))
    if isinstance(file, str) and file:
        monkeypatch.delenv("TESSERA_KEY_FILE")
        monkeypatch.setenv("TESSERA_KEYS", file)
        refused("TESSERA_KEYS", lambda: Tessera("memory:"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="TESSERA_KEYS"):
        Tessera("memory:")
    with pytest.raises(errors.ConfigurationError, match="cannot be read"):
        Tessera("memory:", keys=tmp_path / "none")
    with pytest.raises(errors.ConfigurationError, match="TESSERA_STORE"):
        Tessera.from_environment()
    with pytest.raises(errors.InvalidKeyError):
        Tessera("memory:", keys=[])


@pytest.mark.parametrize(
    "url", ["", "memory", "mongodb://user:p4ss@h/d", "redis://user:p4ss@127.0.0.1:1", "sqlite:"]
)
def test_a_store_that_cannot_be_opened_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(errors.ConfigurationError) as raised:
        Tessera(url, keys=KEYS)
    assert "p4ss" not in str(raised.value)
    with pytest.raises(TypeError, match="a store is a URL"):
        Tessera(7, keys=KEYS)  # type: ignore[arg-type]


def test_a_policy_has_pythons_names_and_times() -> None:
    sessions = Tessera(
        "memory:",
        keys=KEYS,
        preset="aal2",
        policy={"touch_interval": 90, "renew_interval": None, "cap_rule": "refuse", "public_fields": ("a",)},
    )
    policy = sessions.policy
    assert policy["touch_interval"] == timedelta(seconds=90)
    assert policy["idle_timeout"] == timedelta(hours=1)
    assert (policy["renew_interval"], policy["cap_rule"], policy["public_fields"]) == (None, "refuse", ["a"])
    assert Tessera("memory:", keys=KEYS, policy=policy).policy == policy


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"idle": 1}, "idle"),
        ({"idle_timeout": "30m"}, "idle_timeout"),
        ({"idle_timeout": True}, "idle_timeout"),
        ({"idle_timeout": -1}, "idle_timeout"),
        ({"idle_timeout": float("nan")}, "idle_timeout"),
        ({"idle_timeout": 0}, "idle-timeout-ms"),
        ({"public_fields": "a"}, "public_fields"),
        ({"cap_rule": "evict"}, "cap-rule"),
        ({"maximum_fields": -1}, "maximum-fields"),
    ],
)
def test_an_invalid_policy_names_its_field(policy: Any, field: str) -> None:
    with pytest.raises(errors.InvalidPolicyError) as raised:
        Tessera("memory:", keys=KEYS, policy=policy)
    assert raised.value.field == field and raised.value.reason


def test_the_variables_are_those_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KEYS": text({"id": "k", "secret": KEY}),
        "STORE": "memory:",
        "PRESET": "AAL2",
        "IDLE_TIMEOUT": "45m",
        "SESSIONS_PER_SUBJECT": "3",
        "CAP_RULE": "Refuse",
        "PUBLIC_FIELDS": "a, b",
        "ISSUER": "Shop",
    }.items():
        monkeypatch.setenv(f"TESSERA_{name}", value)
    policy = Tessera.from_environment().policy
    assert policy["idle_timeout"] == timedelta(minutes=45)
    assert (policy["sessions_per_subject"], policy["cap_rule"]) == (3, "refuse")
    assert (policy["public_fields"], policy["issuer"]) == (["a", "b"], "Shop")
    for name, value in (("IDLE_TIMEOUT", "45"), ("SESSIONS_PER_SUBJECT", "x")):
        monkeypatch.setenv(f"TESSERA_{name}", value)
        with pytest.raises(errors.ConfigurationError, match=f"TESSERA_{name}"):
            Tessera.from_environment()
        monkeypatch.delenv(f"TESSERA_{name}")
