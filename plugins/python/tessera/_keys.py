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


# An exception of Python about a text has the text as an attribute. It stays in the `__context__` of what is raised while it is
# handled, also with `from None`. So the functions below return what is wrong with a text, and their callers raise.


def _loaded(text: str) -> tuple[Any, str | None]:
    """The value of JSON, or what is wrong with the text."""
    try:
        return json.loads(text), None
    except RecursionError:
        return None, "it is nested too deeply"
    except ValueError as error:
        return None, f"see line {getattr(error, 'lineno', 1)}, column {getattr(error, 'colno', 1)}"


def _parse(text: str, name: str) -> list[tuple[str, bytes]]:
    """Reads the text of a key file. No message quotes it."""
    file, fault = _loaded(text)
    if fault is not None:
        raise _unfit(name, fault)
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
        decoded = _base64url(secret)
        if decoded is None:
            raise _unfit(name, "a secret is not base64url without padding")
        ring.append((id, decoded))
    return ring


def _base64url(text: str) -> bytes | None:
    """The bytes of base64url without padding; ``None`` for any other text."""
    if "=" in text or len(text) % 4 == 1 or not text.isascii():
        return None
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return decoded if base64.urlsafe_b64encode(decoded).rstrip(b"=") == text.encode() else None


def _text_of(path: str) -> tuple[str, str | None]:
    """The text of a file, or why it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(_MAXIMUM_FILE_BYTES + 1), None
    except OSError as error:
        return "", str(error.strerror)
    except UnicodeDecodeError:
        return "", "it is not UTF-8"


def _read(path: str) -> list[tuple[str, bytes]]:
    if path.lstrip().startswith(("{", "[")):
        # No file, but the contents of one, which no message may quote.
        raise ConfigurationError("keys has the contents of a key file: it takes its path, a mapping, or a list of keys")
    text, fault = _text_of(path)
    if fault is not None:
        raise ConfigurationError(f"the key file {path} cannot be read: {fault}")
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
