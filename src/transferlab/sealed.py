"""JSON in which any changed byte is detected: its first field is the hash of everything after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast


def checksum(data: bytes) -> str:
    """128-bit BLAKE2b as 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def sealed(facts: Mapping[str, Any]) -> bytes:
    """Plain data as JSON that begins with its hash."""
    rest = json.dumps(dict(facts), indent=1).encode()[1:]
    return _seal(rest) + rest


def unsealed(data: bytes) -> dict[str, Any]:
    """The inverse of ``sealed``; raises ValueError if the bytes have changed or are no JSON object."""
    if not data.startswith(_seal(data[len(_seal(b"")) :])):
        raise ValueError("the hash does not fit")
    try:
        facts = cast("dict[str, Any]", json.loads(data))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    del facts["blake2b"]  # the seal says that it is an object, and that this is there
    return facts


def _seal(rest: bytes) -> bytes:
    return b'{ "blake2b": "' + checksum(rest).encode() + b'",'
