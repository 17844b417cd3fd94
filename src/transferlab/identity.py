"""Canonical text, digests and named random streams: the keys of all work, and its only source of randomness."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# Code is part of keys through these integers. Increase one in the commit that changes what its package computes.
DESIGN = 1
ENGINE = 4
TRANSFER = 7

# Made once: json.dumps with these options would make one at every call.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: object) -> str:
    """Canonical JSON of plain data: sorted keys, no spaces, dataclasses as objects with their ``TAG`` as type.

    Fields in a dataclass's ``NOT_IDENTITY`` are left out, and so are those in ``ADDED_LATER`` that have their default value, so
    that earlier results keep their keys. Dictionary keys must be strings; floats are written in full (``repr``), so equal
    text means equal values.

    Raises:
        TypeError: a value that has no canonical form (arrays, sets, NaN, paths).
    """
    return _CANONICAL.encode(plain(value, identity_only=True))


def plain(value: object, *, identity_only: bool = False) -> Any:
    """Dictionaries, lists and scalars for JSON; dataclasses carry their ``TAG`` (``planned.restored`` inverts it).

    Args:
        identity_only: leave out fields as ``canonical`` does.

    Raises:
        TypeError: a value that has no canonical form (arrays, sets, NaN, paths).
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise TypeError(f"{value} has no canonical form")
        return value
    if isinstance(value, (list, tuple)):  # before the slower checks: most of what is hashed are lists
        return [plain(item, identity_only=identity_only) for item in cast("Sequence[object]", value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        left_out = _left_out(value) if identity_only else frozenset[str]()
        names = [f.name for f in dataclasses.fields(value) if f.name not in left_out]
        fields = {name: plain(getattr(value, name), identity_only=identity_only) for name in names}
        return {"type": tag_of(type(value)), **fields}
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        if not all(isinstance(key, str) for key in mapping):
            raise TypeError("a mapping with keys that are not strings has no canonical form")
        return {str(key): plain(item, identity_only=identity_only) for key, item in mapping.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(item, identity_only=identity_only) for item in cast("Sequence[object]", value)]
    raise TypeError(f"{type(value).__name__} has no canonical form")


def tag_of(noun: type) -> str:
    """The name under which a data type is hashed and stored; renaming its class changes nothing.

    Raises:
        TypeError: a class without a tag.
    """
    tag = vars(noun).get("TAG")
    if not isinstance(tag, str):
        raise TypeError(f"{noun.__name__} has no TAG, and so no canonical form")
    return tag


def _left_out(value: Any) -> frozenset[str]:
    """The fields of a dataclass that are not part of its identity."""
    listed = vars(cast("type[object]", type(value)))
    left_out = cast("frozenset[str]", listed.get("NOT_IDENTITY", frozenset[str]()))
    if "ADDED_LATER" not in listed:
        return left_out
    defaults = {f.name: f.default for f in dataclasses.fields(value)}
    later = cast("frozenset[str]", listed["ADDED_LATER"])
    return left_out | {name for name in later if getattr(value, name) == defaults[name]}


def digest(*parts: object) -> str:
    """128-bit BLAKE2b as 32 hexadecimal digits, over bytes, arrays and canonical data, in order.

    Arrays are hashed with dtype and shape. Each part is preceded by its length, so that parts cannot be confused.
    """
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        header, body = _bytes_of(part)
        state.update(len(header).to_bytes(8, "big") + header + len(body).to_bytes(8, "big"))
        state.update(body)
    return state.hexdigest()


def _bytes_of(part: object) -> tuple[bytes, bytes | memoryview]:
    if isinstance(part, np.ndarray):
        array: NDArray[Any] = cast("NDArray[Any]", part)
        return f"{array.dtype.str}{array.shape}".encode(), np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    if isinstance(part, bytes):
        return b"bytes", part
    return b"json", canonical(part).encode()


def stream(*names: object) -> np.random.Generator:
    """A random generator that depends only on its names, not on the order of calls.

    Args:
        names: strings and integers, for example ``("images", seed, class_id)``.
    """
    return np.random.Generator(np.random.PCG64(torch_seed(*names)))


def torch_seed(*names: object) -> int:
    """A 63-bit seed that depends only on its names, for ``torch.Generator().manual_seed``."""
    return int(digest("stream", list(names)), 16) >> 65
