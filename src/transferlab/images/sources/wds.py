"""Tar shards in WebDataset style, read in place: consecutive members ``KEY.jpg`` and ``KEY.cls``."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import overload

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source
from transferlab.images.sources.listing import (
    IMAGE_SUFFIXES,
    MAX_FILE_BYTES,
    SPLIT_NAMES,
    class_order,
    existing,
    fingerprint,
)  # fmt: skip

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
MAX_LABEL_BYTES = 4096
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, OSError)


def read(path: str, options: Mapping[str, str]) -> Source:
    """A folder of shards, or one shard; the split is how a shard's name begins (``train-000.tar.gz``).

    Labels are UTF-8 text. Members are read one after another and never extracted; links and devices are passed over.

    Raises:
        UserError: no shards, a damaged shard, an image without a label or the reverse, a key twice in a shard.
    """
    root = existing(path, "wds")
    files = [root] if root.is_file() else sorted(root.iterdir())
    shards = [f for f in files if f.is_file() and not f.name.startswith(".") and f.name.endswith(SHARD_SUFFIXES)]
    if not shards:
        raise UserError("there are no tar shards here", str(root), f"shards end in {', '.join(SHARD_SUFFIXES)}")
    return Source(
        name=root.name.split(".")[0],
        classes=_Classes(shards),
        fingerprint=digest("wds", fingerprint(shards, root if root.is_dir() else root.parent)),
        items=partial(_items, shards),
    )


class _Classes(Sequence[str]):
    """Class ids, found out by a pass over the labels when they are first asked for: a pack made before needs none."""

    def __init__(self, shards: list[Path]) -> None:
        self._shards = shards

    @cached_property
    def names(self) -> tuple[str, ...]:
        return class_order(label for shard in self._shards for label in _labels(shard))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self.names[index]

    def __len__(self) -> int:
        return len(self.names)


def _items(shards: list[Path]) -> Iterator[Item]:
    for shard in shards:
        split = _split(shard)
        stem = _stem(shard)
        seen: set[str] = set()
        image: tuple[str, bytes] | None = None
        label: tuple[str, str] | None = None
        for key, suffix, content in _members(shard):
            if suffix == ".cls":
                _must_be_new(label, image, shard)
                label = key, _text(content(), shard, key)
            else:
                _must_be_new(image, label, shard)
                image = key, content()
            if image and label:
                if image[0] != label[0]:
                    raise _unpaired(image[0], shard)
                if key in seen:
                    raise UserError(f"the key {key!r} occurs twice", str(shard), "give every image a key of its own")
                seen.add(key)
                yield Item(f"{stem}/{key}", image[1], label[1], split)
                image = label = None
        for leftover in (image, label):
            if leftover:
                raise _unpaired(leftover[0], shard)


def _labels(shard: Path) -> Iterator[str]:
    for key, suffix, content in _members(shard):
        if suffix == ".cls":
            yield _text(content(), shard, key)


def _members(shard: Path) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Key, suffix and content of each image and label, in order."""
    try:
        with tarfile.open(shard, "r|*") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else a million members stay in memory
                name = PurePosixPath(member.name)
                suffix = name.suffix.lower()
                if not member.isreg() or name.name.startswith(".") or suffix not in (*IMAGE_SUFFIXES, ".cls"):
                    continue
                limit = MAX_LABEL_BYTES if suffix == ".cls" else MAX_FILE_BYTES
                if member.size > limit:
                    raise UserError(
                        f"the member {member.name!r} claims {member.size:,} bytes", str(shard), f"keep below {limit:,}"
                    )
                yield str(name.with_suffix("")), suffix, partial(_content, shard, tar, member)
    except _DAMAGED as error:
        raise _cut_short(shard, error) from error


def _content(shard: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    try:
        file = tar.extractfile(member)
        return file.read() if file else b""
    except _DAMAGED as error:  # raised where the bytes are used, not in the loop over members
        raise _cut_short(shard, error) from error


def _cut_short(shard: Path, error: Exception) -> UserError:
    return UserError(f"the shard cannot be read to its end: {error}", str(shard), "copy it again")


def _text(content: bytes, shard: Path, key: str) -> str:
    try:
        label = content.decode().strip()
    except UnicodeDecodeError as error:
        raise UserError(f"the label of {key!r} is not UTF-8 text", str(shard), "write the class's name") from error
    if not label:
        raise UserError(f"the label of {key!r} is empty", str(shard), "write the class's name")
    return label


def _must_be_new(one: tuple[str, object] | None, other: tuple[str, object] | None, shard: Path) -> None:
    if one and not other:
        raise _unpaired(one[0], shard)


def _unpaired(key: str, shard: Path) -> UserError:
    return UserError(
        f"{key!r} is not a pair of an image and a label", str(shard), "put KEY.cls directly before or after the image"
    )


def _stem(shard: Path) -> str:
    return next(shard.name.removesuffix(s) for s in reversed(SHARD_SUFFIXES) if shard.name.endswith(s))


def _split(shard: Path) -> str | None:
    return SPLIT_NAMES.get(re.split(r"[^a-z]", shard.name.lower(), maxsplit=1)[0])
