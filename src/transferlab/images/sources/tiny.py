"""``tiny-imagenet:PATH``: Tiny ImageNet-200 in its official tree, unpacked or as ``tiny-imagenet-200.zip``.

Layout: the archive's own (cs231n.stanford.edu/tiny-imagenet-200.zip), as loaders of it on GitHub describe it; a sample of
it was at hand. ``train/<wnid>/<wnid>_boxes.txt`` and ``val/val_annotations.txt`` name every image, with a box in its
64x64 pixels; ``test`` has no labels and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from transferlab.errors import UserError
from transferlab.identity import digest
from transferlab.images.source import Item, Source
from transferlab.images.sources.box_table import Corners, degenerate, has_area, located
from transferlab.images.sources.filetree import Tree, listed, may_be_image, tree_of
from transferlab.images.sources.held_out import chosen, restricted
from transferlab.images.sources.listing import class_order, existing
from transferlab.taxonomy.tree import flat

PLACES = ("", "tiny-imagenet-200/")
SIDE = 64  # of its images, in pixels


@dataclass(frozen=True)
class Boxed:
    """What the lists say of an image: its class, split, and box (left, top, right, bottom, inclusive, from 0)."""

    wnid: str
    split: str
    box: Corners


def read(path: str, options: Mapping[str, str]) -> Source:
    """Classes by wnid; the splits train and val. With ``task=localisation`` each image has the box of its object.

    The option ``only`` keeps some of the classes. Localisation needs a test split, which val then is.

    Raises:
        UserError: lists or images that are missing or do not agree, a class that wnids.txt does not name, an unknown
            task or class.
    """
    where, task = f"tiny-imagenet:{path}", options.get("task", "classification")
    if task not in ("classification", "localisation"):
        raise UserError(f"there is no task {task!r}", where, "tasks are classification and localisation")
    tree = tree_of(existing(path, "tiny-imagenet"), where, frozenset({"test"}))
    boxes = boxes_of(tree)
    classes = restricted(class_order(told.wnid for told in boxes.values()), options, where)
    keeps = chosen(options)
    boxes = {name: told for name, told in boxes.items() if keeps(told.wnid)}
    words = tree.first_of(PLACES, "words.txt")
    named = dict(row.split("\t", 1) for row in tree.lines(words) if "\t" in row) if words else {}
    taxonomy = flat(classes, {wnid: named[wnid] for wnid in classes if wnid in named})
    rows = [(name, told.wnid, told.split) for name, told in boxes.items()]
    if task == "classification":
        return listed(tree, "tiny-imagenet", rows, classes=classes, taxonomy=taxonomy)
    flat_boxes = degenerate([told.box for told in boxes.values()])
    rows = [row for row in rows if has_area(boxes[row[0]].box)]
    plain = listed(tree, "tiny-imagenet-localisation", rows, classes=classes, taxonomy=taxonomy)
    corners = {name: told.box for name, told in boxes.items()}
    return replace(
        plain, items=partial(_located, plain, corners), multi_label=True, metric="mAP",
        fingerprint=digest(plain.fingerprint, [corners[name] for name, _, _ in rows]),
        notes=(*plain.notes, *filter(None, [flat_boxes]), "the images of val are the test split"),
    )  # fmt: skip


def _located(plain: Source, boxes: Mapping[str, Corners]) -> Iterator[Item]:
    for item in plain.items():
        split = "test" if item.split == "val" else item.split
        yield replace(located(item, boxes[item.key], (SIDE, SIDE), item.key), split=split)


def boxes_of(tree: Tree) -> dict[str, Boxed]:
    """Every image with what the lists say of it, checked to be all that there are.

    Raises:
        UserError: as ``read``.
    """
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
            f"{len(odd):,} images are in no list, for example {odd[0]}", tree.where,
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
