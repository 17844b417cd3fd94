"""``tiny-imagenet:PATH``: Tiny ImageNet-200 in its official tree, unpacked or as ``tiny-imagenet-200.zip``.

Layout: that of the archive (cs231n.stanford.edu/tiny-imagenet-200.zip), as loaders of it on GitHub describe it, and of a
sample. ``train/<wnid>/<wnid>_boxes.txt`` and ``val/val_annotations.txt`` name every image, with a box in its 64x64
pixels; ``test`` has no labels and is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from transferlab.definitions import Parameter
from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.format import Format, Request
from transferlab.images.source import Item, Source
from transferlab.images.sources.box_table import Corners, has_area, located, note_on_area
from transferlab.images.sources.filetree import Tree, listed, may_be_image
from transferlab.images.sources.folder_or_zip import tree_of
from transferlab.images.sources.held_out import ONLY, chosen, restricted
from transferlab.taxonomy.tree import flat
from transferlab.text import number_of

PLACES = ("", "tiny-imagenet-200/")
SIDE_PX = 64


@dataclass(frozen=True)
class Boxed:
    """An image in the lists: its class, split, and box (left, top, right, bottom, inclusive, from 0)."""

    wnid: str
    split: str
    box: Corners


def read(request: Request) -> Source:
    """Classes by wnid; the splits are train and val. With ``task=localisation`` val is the test split.

    Raises:
        UserError: lists or images are missing or do not agree; a class that wnids.txt does not name, an unknown class.
    """
    where, only = request.where, request.options.get("only", "")
    tree = tree_of(request.path, where, frozenset({"test"}))
    boxes = boxes_of(tree)
    classes = restricted({one.wnid for one in boxes.values()}, only, where)
    keeps = chosen(only)
    boxes = {name: one for name, one in boxes.items() if keeps(one.wnid)}
    words = tree.first_of(PLACES, "words.txt")
    named = dict(row.split("\t", 1) for row in tree.lines(words) if "\t" in row) if words else {}
    taxonomy = flat(classes, {wnid: named[wnid] for wnid in classes if wnid in named})
    rows = [(name, one.wnid, one.split) for name, one in boxes.items()]
    if request.options["task"] == "classification":
        return replace(listed(tree, "tiny-imagenet", rows, classes=classes, taxonomy=taxonomy), has_wnids=True)
    corners = {name: one.box for name, one in boxes.items()}
    rows = [row for row in rows if has_area(corners[row[0]])]
    plain = listed(tree, "tiny-imagenet-localisation", rows, classes=classes, taxonomy=taxonomy)
    return replace(
        plain, items=partial(_located, plain, corners), multi_label=True, metric="mAP", has_wnids=True,
        fingerprint=digest(plain.fingerprint, [corners[name] for name, _, _ in rows]),
        notes=(*plain.notes, *note_on_area(corners.values()), "the images of val are the test split"),
    )  # fmt: skip


def _located(plain: Source, boxes: Mapping[str, Corners]) -> Iterator[Item]:
    for item in plain.items():
        split = "test" if item.split == "val" else item.split
        yield replace(located(item, boxes[item.key], (SIDE_PX, SIDE_PX), item.key), split=split)


def boxes_of(tree: Tree) -> dict[str, Boxed]:
    """Every image in the lists, by its file's name; raises UserError as ``read``, and if an image is in no list."""
    home = (tree.first_of(PLACES, "wnids.txt") or "wnids.txt").removesuffix("wnids.txt")
    wnids = [row[0] for row in tree.rows(f"{home}wnids.txt", 1)]
    found: dict[str, Boxed] = {}
    for wnid in wnids:
        name = f"{home}train/{wnid}/{wnid}_boxes.txt"
        rows = tree.rows(name, 5)
        tree.must_have([f"{home}train/{wnid}/images/{file}" for file, *_ in rows], name)
        for file, *box in rows:
            found[f"{home}train/{wnid}/images/{file}"] = Boxed(wnid, "train", _box(tree, name, box))
    name = f"{home}val/val_annotations.txt"
    rows = tree.rows(name, 6)
    tree.must_have([f"{home}val/images/{file}" for file, *_ in rows], name)
    for file, wnid, *box in rows:
        if wnid not in wnids:
            raise UserError(f"{name} gives {file} the class {wnid}", tree.where, f"{home}wnids.txt does not name it")
        found[f"{home}val/images/{file}"] = Boxed(wnid, "val", _box(tree, name, box))
    below = (f"{home}train/", f"{home}val/")
    if odd := [file for file in tree.files if file.startswith(below) and may_be_image(file) and file not in found]:
        raise UserError(
            f"{number_of(len(odd), 'image is', 'images are')} in no list, for example {odd[0]}", tree.where,
            "expected them in wnids.txt and train/<wnid>/<wnid>_boxes.txt, or in val/val_annotations.txt",
        )  # fmt: skip
    return found


def _box(tree: Tree, name: str, texts: list[str]) -> Corners:
    try:
        left, top, right, bottom = map(int, texts)
    except ValueError as error:
        raise UserError(
            f"{name} has the box {' '.join(texts)}", tree.where, "four whole numbers were expected"
        ) from error
    return left, top, right, bottom


FORMAT = Format(
    name="tiny-imagenet", title="Tiny ImageNet", explained="Tiny ImageNet-200, with or without its boxes",
    path="the zip, or the folder of `wnids.txt`", tasks=("classes", "detection"), read=read,
    parameters={"task": Parameter(means="what the images are for", default="classification",
                                  words=("classification", "localisation")), "only": ONLY},
)  # fmt: skip
