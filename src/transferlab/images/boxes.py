"""From annotated objects to the arrays of a pack: checked against their image and scaled with it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transferlab.images.source import Box, Objects
from transferlab.specs import Boxes
from transferlab.text import number_of

ARRAYS = tuple(f.name for f in fields(Boxes))  # files of a pack: boxes_NAME.npy


def usable(objects: Objects, size: tuple[int, int]) -> tuple[list[Box], list[str]]:
    """The usable boxes in an image of this height and width, and the flaws of the others."""
    good: list[Box] = []
    flaws = list(objects.flaws)
    for box in objects.boxes:
        flaw = box.flaw
        if not flaw and not (box.x0 < size[1] and box.y0 < size[0] and box.x1 > 0 and box.y1 > 0):
            corners = " ".join(f"{value:g}" for value in box[1:5])
            flaw = f"box outside of its image ({box.label}, edges {corners} in {size[1]}x{size[0]})"
        if flaw:
            flaws.append(flaw)
        else:
            good.append(box)
    return good, flaws


def classes_in(boxes: Iterable[Box]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes with an object that counts, and those whose objects are all ignored; sorted."""
    boxes = list(boxes)
    present = {box.label for box in boxes if not box.ignored}
    return tuple(sorted(present)), tuple(sorted({box.label for box in boxes} - present))


@dataclass(frozen=True, eq=False)
class Gathered:
    """The objects of a pack that is being made, added image by image and kept as plain numbers to save memory."""

    stored: array[int] = field(default_factory=lambda: array("i"))
    original: array[int] = field(default_factory=lambda: array("i"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[float] = field(default_factory=lambda: array("d"))  # 7 per box: edges, ignored, crowd, area
    labels: list[str] = field(default_factory=list[str])

    def add(self, stored: Sequence[int], original: Sequence[int], boxes: Sequence[Any]) -> None:
        """Add an image: its stored and original height and width, and its boxes."""
        self.stored.extend(stored)
        self.original.extend(original)
        self.counts.append(len(boxes))
        for label, *edges, ignored, crowd, area in boxes:
            own = (edges[2] - edges[0]) * (edges[3] - edges[1])
            self.numbers.extend((*edges, ignored, crowd, own if area is None else area))
            self.labels.append(label)

    @property
    def sizes(self) -> NDArray[np.int32]:
        """Height and width of the stored images, int32 [n, 2]."""
        return np.array(self.stored, np.int32).reshape(-1, 2)

    def boxes(self, classes: Sequence[str]) -> Boxes:
        """All objects, with the index of their class as label; stored boxes are cut at their image's edges."""
        index = {name: i for i, name in enumerate(classes)}
        numbers = np.array(self.numbers).reshape(-1, 7)
        counts = np.array(self.counts, np.int64)
        sizes = np.array(self.original, np.int32).reshape(-1, 2)
        wide = np.repeat(sizes[:, [1, 0, 1, 0]], counts, axis=0)  # [m, 4], as edges are
        stored = np.repeat(self.sizes[:, [1, 0, 1, 0]], counts, axis=0)
        return Boxes(
            first=np.append(0, np.cumsum(counts)).astype(np.int64),
            boxes=(numbers[:, :4].clip(0, wide) * stored / wide).astype(np.float32),
            labels=np.array([index[name] for name in self.labels], np.int32),
            ignored=numbers[:, 4].astype(bool),
            crowd=numbers[:, 5].astype(bool),
            original=numbers[:, :4].copy(),
            original_sizes=sizes,
            areas=numbers[:, 6].copy(),
        )


def remarks(boxes: Boxes) -> list[str]:
    """Sentences on a pack's objects: their number, ignored ones, those that extend beyond their image."""
    counts = np.diff(boxes.first)
    n_ignored = int(boxes.ignored.sum())
    sentences = [f"{number_of(len(boxes.labels), 'object')}, {n_ignored:,} of them ignored (difficult or crowds)"]
    wide = np.repeat(boxes.original_sizes[:, [1, 0, 1, 0]], counts, axis=0)
    if n_beyond := int(((boxes.original < 0) | (boxes.original > wide)).any(axis=1).sum()):
        beyond = number_of(n_beyond, "box extends beyond its image: it is", "boxes extend beyond their image: they are")
        sentences.append(f"{beyond} cut at its edge for training")
    if n_empty := int((counts == 0).sum()):
        sentences.append(f"{number_of(n_empty, 'image has', 'images have')} no objects")
    return sentences


def save(folder: Path, boxes: Boxes) -> None:
    """Write each array into a file of its own."""
    for name in ARRAYS:
        with (folder / f"boxes_{name}.npy").open("wb") as file:
            np.save(file, getattr(boxes, name), allow_pickle=False)


def load(folder: Path) -> Boxes:
    """Map what ``save`` wrote."""
    return Boxes(**{name: np.load(folder / f"boxes_{name}.npy", "r", allow_pickle=False) for name in ARRAYS})
