"""Reads a detector's output in COCO's format: a list of results, or a dictionary that says itself what its ids mean."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from transferlab.errors import UserError
from transferlab.images.coco_json import (
    Extent,
    box_of,
    edges,
    field_of,
    id_and_name,
    ident,
    must_be_few,
    shown,
    surplus,
)
from transferlab.images.json_lists import Lists
from transferlab.runners.score_truth import ByName, GroundTruth, expected, some
from transferlab.text import number_of
from transferlab.transfer.detect.metrics import Found


@dataclass(eq=False)
class Detections:
    """A detector's output, in the order of its files, as plain numbers to save memory.

    Args:
        classes: names of all classes in the output, also those without detections.
        alone: the output is one file of one class, which cannot be scored for others.
        notes: what was passed over, or counts otherwise than the ground truth says.
        images, labels: of each detection, the position of its image, and that of its class in ``classes``.
        numbers: five for each detection: its score and edges in pixels.
    """

    classes: list[str]
    alone: bool = False
    notes: list[str] = field(default_factory=list[str])
    images: array[int] = field(default_factory=lambda: array("i"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    numbers: array[float] = field(default_factory=lambda: array("d"))

    def add(self, image: int, label: int, score: float, box: Sequence[float]) -> None:
        self.images.append(image)
        self.labels.append(label)
        self.numbers.extend((score, *box))

    def found(self, classes: Sequence[str]) -> Found:
        """The detections of these classes, labelled by position in ``classes``."""
        index = {name: c for c, name in enumerate(classes)}
        labels = np.array([index.get(name, -1) for name in self.classes] or [-1], np.int32)[
            np.array(self.labels, np.int32)
        ]
        kept = labels >= 0
        numbers = np.array(self.numbers).reshape(-1, 5)[kept]
        return Found(np.array(self.images, np.int32)[kept], labels[kept], numbers[:, 0].copy(), numbers[:, 1:].copy())


def read_json(path: Path, known: GroundTruth) -> Detections:
    """Read a list of {image_id, category_id, bbox, score}, or a dictionary with such a list as ``annotations``.

    Where the dictionary has ``images`` or ``categories``, its ids are those, matched with the ground truth by their names.

    Raises:
        UserError: a damaged file, an image or class that the ground truth does not have, an id with two meanings, boxes
            relative to the size of their images.
    """
    where = f"--detections {path}"
    lists, images, categories = _own(path, where)
    key = "" if "" in lists.counts else "annotations"
    if key not in lists.counts:
        raise UserError(f"{path} is neither a list of results nor has it a list 'annotations'", where,
                        "COCO's results are a list of {image_id, category_id, bbox, score}")  # fmt: skip
    notes = surplus(lists, ("", "annotations", "images", "categories"))
    place, label = _place(known, images, where, notes), _label(known, categories, path, where)
    index: dict[str, int] = {}
    found = Detections([], notes=[*notes, *_renamed(known, categories)])
    extent = Extent()
    for name, number, one in Lists(path, where).entries():
        if name != key:
            continue
        item = f"result {number} of {path}"
        score = field_of(one, "score", item, where)
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not abs(score) < 1e300:
            raise UserError(f"the score of {item} is {shown(score)}", where, "a number was expected")
        box = box_of(field_of(one, "bbox", item, where), item, where)
        extent.add(box)
        image = place(field_of(one, "image_id", item, where), item)
        of_class = label(field_of(one, "category_id", item, where), item)
        found.add(image, index.setdefault(of_class, len(index)), float(score), edges(box))
    extent.must_be_pixels(path, where)
    found.classes.extend(index)
    return found


def _own(path: Path, where: str) -> tuple[Lists, dict[str, str], dict[str, str]]:
    """The lists of a file of results, and id to name of the images and categories that it defines itself."""
    lists = Lists(path, where)
    own: dict[str, dict[str, str]] = {"images": {}, "categories": {}}
    for key, number, one in lists.entries():
        if key == "":
            break
        if key in own:
            must_be_few(key, number, path, where)
            item = f"number {number} of {key} in {path}"
            id_, name = id_and_name(one, "file_name" if key == "images" else "name", item, where)
            if own[key].setdefault(id_, name.strip()) != name.strip():
                raise UserError(f"{path} has the id {id_} twice in {key}, for {own[key][id_]!r} and {name!r}", where,
                                "give each an id of its own")  # fmt: skip
    return lists, own["images"], own["categories"]


def _place(known: GroundTruth, own: Mapping[str, str], where: str, notes: list[str]) -> Callable[[Any, str], int]:
    """A function from an image_id to a position: an id of the output's own list, else of the ground truth, or a name."""
    by_name = ByName(known, where)
    as_number: dict[int, list[int]] = defaultdict(list)
    for i, name in enumerate(known.images):
        digits = name.replace("_", "")
        if not known.ids and digits.isascii() and digits.isdigit() and len(digits) < 30:
            as_number[int(digits)].append(i)
    own_places = {id_: by_name.find(name) for id_, name in own.items()}
    others = sum(len(found) != 1 for found in own_places.values())
    if others:
        notes.append(
            f"{number_of(others, 'image')} of the output's own list {'is' if others == 1 else 'are'} not in the ground truth, or not once"
        )
    if n := sum(len(f) == 1 and known.ids.get(id_, f[0]) != f[0] for id_, f in own_places.items()):
        notes.append(f"the output's own list of images counts: {n:,} of its ids are other images in the ground truth")

    def place(value: Any, item: str) -> int:
        id_ = ident(value, f"the image_id of {item}", where)
        if own:
            if id_ in own:
                return by_name(own[id_], item)
            raise UserError(f"{item} is of image {id_}, which its own list 'images' does not have", where,
                            "add it there, or leave the list out")  # fmt: skip
        named = by_name.find(id_) if isinstance(value, str) else []
        if id_ in known.ids and named and named != [known.ids[id_]]:
            raise UserError(f"{item} is of image {id_!r}, which is the id of {known.files[known.ids[id_]]} and the name of "
                            f"{known.files[named[0]]}", where, "write ids as numbers, or add a list 'images'")  # fmt: skip
        if id_ in known.ids:
            return known.ids[id_]
        is_number = id_.isascii() and id_.isdigit() and len(id_) < 30
        same = as_number.get(int(id_), []) if is_number and not named else []
        if len(same) == 1:
            return same[0]
        if isinstance(value, str):
            return by_name(id_, item)
        raise UserError(f"{item} is of image {id_}, which the ground truth does not have", where, expected(known))

    return place


def _renamed(known: GroundTruth, own: Mapping[str, str]) -> list[str]:
    """A note on ids that are other categories in the ground truth."""
    odd = [id_ for id_, name in own.items() if known.categories.get(id_, name) != name]
    return [
        f"the output's own list of categories counts: {id_} is {own[id_]!r} there, and {known.categories[id_]!r} in the ground truth"
        for id_ in odd[:1]
    ]


def _label(known: GroundTruth, own: Mapping[str, str], path: Path, where: str) -> Callable[[Any, str], str]:
    """A function from a category_id to a class: an id of the output's own list, else of the ground truth, or a name."""

    def label(value: Any, item: str) -> str:
        id_ = ident(value, f"the category_id of {item}", where)
        by_id = (own or known.categories).get(id_)
        # Annotations of VOC have no numbers, so any text is a class there.
        by_name = id_ if isinstance(value, str) and (id_ in known.classes or not (known.categories or by_id)) else None
        if by_id and by_name and by_id != by_name:
            raise UserError(f"{item} is of category {id_!r}, which is the id of {by_id!r} and the name of another", where,
                            "write ids as numbers")  # fmt: skip
        found = by_id or by_name
        if found and (not known.categories or found in known.classes):
            return found
        has = f"{known.path} has {some([f'{i} {name}' for i, name in known.categories.items()])}"
        if found:
            raise UserError(f"{item} is of category {id_}, which is {found!r} in {path.name}", where, has)
        if isinstance(value, str):
            raise UserError(f"the category_id of {item} is {value!r}", where, f"{known.path} has {some(known.classes)}")
        remedy = "with annotations of VOC, write class names as category_id, or add a list 'categories'"
        if own:
            raise UserError(f"{item} is of category {id_}, which its own list 'categories' does not have", where,
                            "add it there, or leave the list out")  # fmt: skip
        raise UserError(f"{item} is of category {id_}, which has no name", where, has if known.categories else remedy)

    return label
