"""Signing keys: from arguments, key files and the environment."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Union, cast

from .errors import ConfigurationError

#: The text of a key file in the environment, as for ``tessera serve``.
KEYS_VARIABLE = "TESSERA_KEYS"
#: The path of a key file, as for ``tessera serve``.
KEY_FILE_VARIABLE = "TESSERA_KEY_FILE"
_MAXIMUM_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class SigningKey:
    """A key that signs and verifies tokens.

    ``id`` matches ``[A-Za-z0-9_-]{1,32}``; ``secret`` has 32 to 1024 bytes and is not shown.
    """

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls, id: str | None = None) -> SigningKey:
        """A new key with 32 random bytes. The default id has the date."""
        if id is None:
            letters = "abcdefghijklmnopqrstuvwxyz234567"
            id = f"{datetime.now(timezone.utc):%y%m%d}" + "".join(secrets.choice(letters) for _ in range(3))
        return cls(id, secrets.token_bytes(32))


#: The path of a key file; keys in their order, as objects or pairs; or a mapping of ids to secrets.
Keys = Union[str, "os.PathLike[str]", Iterable[Union[SigningKey, tuple[str, bytes]]], Mapping[str, bytes]]


def _unfit(name: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is not a key file: {reason}")


def _parse(text: str, name: str) -> list[tuple[str, bytes]]:
    """Reads the text of a key file. No message quotes it."""
    try:
        file: Any = json.loads(text)
    except ValueError as error:
        where = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        raise _unfit(name, f"see line {where[0]}, column {where[1]}") from None
    keys = cast("dict[str, Any]", file).get("keys") if isinstance(file, dict) else None
    if not isinstance(keys, list) or not keys:
        raise _unfit(name, "it contains no key")
    listed: list[Any] = keys  # pyright: ignore[reportUnknownVariableType]
    ring: list[tuple[str, bytes]] = []
    for key in listed:
        if not isinstance(key, dict) or not {"id", "secret"} <= set(cast("dict[str, Any]", key)) <= {"id", "secret", "signed_until"}:
            raise _unfit(name, "a key has the members id, secret and signed_until")
        members = cast("dict[str, Any]", key)
        id, secret = members["id"], members["secret"]
        if not isinstance(id, str) or not isinstance(secret, str):
            raise _unfit(name, "id and secret of a key are texts")
        try:
            ring.append((id, _base64url(secret)))
        except ValueError:
            raise _unfit(name, "a secret is not base64url without padding") from None
    return ring


def _base64url(text: str) -> bytes:
    if "=" in text or len(text) % 4 == 1:
        raise ValueError
    decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != text.encode():
        raise ValueError
    return decoded


def _read(path: str) -> list[tuple[str, bytes]]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MAXIMUM_FILE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"the key file {path} cannot be read: {reason}") from None
    if len(text) > _MAXIMUM_FILE_BYTES:
        raise _unfit(path, "it has more than 1 MiB")
    return _parse(text, path)


def _of_environment() -> list[tuple[str, bytes]]:
    text, path = os.environ.get(KEYS_VARIABLE, "").strip(), os.environ.get(KEY_FILE_VARIABLE, "")
    if text and path:
        raise ConfigurationError(f"{KEYS_VARIABLE} and {KEY_FILE_VARIABLE} are both set: use only one of them")
    if text:
        return _parse(text, KEYS_VARIABLE)
    if path:
        return _read(path)
    raise ConfigurationError(
        f"there are no keys: give the path of a key file as keys=, or set {KEYS_VARIABLE} or {KEY_FILE_VARIABLE}"
    )


def ring(keys: Keys | None) -> list[tuple[str, bytes]]:
    """The key ring: the first key signs, and all verify."""
    if keys is None:
        return _of_environment()
    if isinstance(keys, (str, os.PathLike)):
        return _read(os.fspath(keys))
    pairs: Iterable[SigningKey | tuple[str, bytes]]
    pairs = cast("Mapping[str, bytes]", keys).items() if isinstance(keys, Mapping) else keys
    read: list[tuple[str, bytes]] = []
    for key in pairs:
        id: Any
        secret: Any
        id, secret = (key.id, key.secret) if isinstance(key, SigningKey) else key
        if not isinstance(id, str) or not isinstance(secret, bytes):
            raise ConfigurationError("a key is a SigningKey, or a pair of an id and bytes")
        read.append((id, secret))
    return read
