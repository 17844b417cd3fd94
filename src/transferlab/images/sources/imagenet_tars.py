"""ILSVRC-2012's archives as downloaded: a tar of 1000 tars, a flat tar, a development kit; read without unpacking."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Data, Item, Source
from transferlab.images.sources import tarstream
from transferlab.images.sources.filetree import Tree
from transferlab.images.sources.listing import IMAGE_SUFFIXES, MAX_FILE_BYTES, fingerprint
from transferlab.images.sources.wnids import imagenet1k_wnids

TRAIN, VAL, KIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"


def with_kit(tree: Tree, archive: Path, names: Collection[str]) -> Tree:
    """A tree with these members of the development kit added; raises UserError if its archive is damaged."""
    try:
        held = dict(tarstream.files(archive, lambda name, size: name.removeprefix("./") in names and size < 1 << 24))
    except tarstream.DAMAGED as error:
        raise _damaged(archive, error, tree.where) from error
    added = {name.removeprefix("./"): content for name, content in held.items()}

    def content(name: str) -> Data:
        return added[name] if name in added else tree.content(name)

    return replace(tree, files={**{name: (len(c), 0) for name, c in added.items()}, **tree.files}, content=content)


def read(root: Path, tree: Tree, list_: str, truth: Mapping[str, str], counts: Mapping[str, int]) -> Source:
    """A folder with the two image archives.

    Args:
        list_: the file of validation labels. truth: image file name without suffix to wnid.
        counts: training images of each class, or nothing.

    Raises:
        UserError: an archive is missing, cut short or has other content; once its items are read, an image is missing.
    """
    for name in (TRAIN, VAL):
        if name not in tree.files:
            raise UserError(f"{name} is not there", tree.where, f"expected {TRAIN} and {VAL}")
    try:
        with tarfile.open(root / TRAIN, "r:") as outer:
            found = [
                member.name.removesuffix(".tar").rpartition("/")[2] for member in outer.getmembers() if member.isreg()
            ]
    except tarstream.DAMAGED as error:
        raise _damaged(root / TRAIN, error, tree.where) from error
    if sorted(found) != list(imagenet1k_wnids()):
        odd = sorted(set(found) ^ set(imagenet1k_wnids())) or ["one of them, twice"]
        raise UserError(
            f"{TRAIN} holds {len(found):,} archives of classes, 1,000 were expected; missing or unexpected is {odd[0]}", tree.where,
            "get it again",
        )  # fmt: skip
    return Source(
        name="imagenet",
        classes=imagenet1k_wnids(),
        fingerprint=digest("imagenet tars", fingerprint([root / TRAIN, root / VAL], root), dict(truth)),
        items=partial(_items, root, tree.where, list_, truth, counts),
        notes=tuple(tree.notes),
    )


def _items(root: Path, where: str, list_: str, truth: Mapping[str, str], counts: Mapping[str, int]) -> Iterator[Item]:
    try:
        with tarfile.open(root / TRAIN, "r:") as outer:
            for member in outer:
                yield from _of_class(outer, member, where, counts)
    except tarstream.DAMAGED as error:
        raise _damaged(root / TRAIN, error, where) from error
    seen: Counter[str] = Counter()
    try:
        for name, content in tarstream.files(root / VAL, _is_image):
            stem = name.rpartition("/")[2].rpartition(".")[0]
            if stem not in truth:
                raise UserError(f"{list_} has no label for {name} in {VAL}", where, "get the list that belongs to it")
            seen[stem] += 1
            yield Item(f"val/{stem}.JPEG", content, truth[stem], "val")
    except tarstream.DAMAGED as error:
        raise _damaged(root / VAL, error, where) from error
    if absent := [stem for stem in truth if not seen[stem]]:
        raise UserError(
            f"{VAL} holds {len(seen):,} of the {len(truth):,} images that {list_} names, without for example "
            f"{absent[0]}.JPEG", where, "get the archive again"
        )  # fmt: skip


def _of_class(outer: tarfile.TarFile, member: tarfile.TarInfo, where: str, counts: Mapping[str, int]) -> Iterator[Item]:
    inner = outer.extractfile(member) if member.isreg() else None
    if inner is None:
        return
    wnid = member.name.removesuffix(".tar").rpartition("/")[2]
    n_images = 0
    with io.BufferedReader(cast(Any, inner), tarstream.BUFFER) as stream:
        for name, content in tarstream.members(stream, _is_image):
            n_images += 1
            yield Item(f"train/{wnid}/{name.rpartition('/')[2]}", content, wnid, "train")
    if n_images != counts.get(wnid, n_images) or not n_images:
        raise UserError(
            f"{member.name} in {TRAIN} holds {n_images:,} images, {counts.get(wnid, 'some')} were expected", where,
            "get the archive again",
        )  # fmt: skip


def _is_image(name: str, size: int) -> bool:
    return name[name.rfind(".") :].lower() in IMAGE_SUFFIXES and size <= MAX_FILE_BYTES


def _damaged(archive: Path, error: Exception, where: str) -> UserError:
    return UserError(f"{archive.name} cannot be read to its end: {error}", where, "get it again")
