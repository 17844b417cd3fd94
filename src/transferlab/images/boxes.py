"""From annotated objects to what a pack holds of them: checked against their image, scaled with it, as arrays."""

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

ARRAYS = tuple(f.name for f in fields(Boxes))  # files of a pack: boxes_NAME.npy


def usable(objects: Objects, size: tuple[int, int]) -> tuple[list[Box], list[str]]:
    """The boxes that can be used in an image of this height and width, and what is wrong with the others."""
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
    """The classes of which an object counts, and those of which all are ignored; sorted."""
    boxes = list(boxes)
    present = {box.label for box in boxes if not box.ignored}
    return tuple(sorted(present)), tuple(sorted({box.label for box in boxes} - present))


@dataclass(frozen=True, eq=False)
class Gathered:
    """Objects of the images of a pack in the making, added one image after another; numbers only, to stay small."""

    stored: array[int] = field(default_factory=lambda: array("i"))
    original: array[int] = field(default_factory=lambda: array("i"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[float] = field(default_factory=lambda: array("d"))  # edges, ignored, crowd, area: 7 a box
    labels: list[str] = field(default_factory=list[str])

    def add(self, told: Sequence[Any]) -> None:
        """An image: height and width as it is stored and as it was, and its boxes."""
        self.stored.extend(told[0])
        self.original.extend(told[1])
        self.counts.append(len(told[2]))
        for label, *edges, ignored, crowd, area in told[2]:
            own = (edges[2] - edges[0]) * (edges[3] - edges[1])
            self.numbers.extend((*edges, ignored, crowd, own if area is None else area))
            self.labels.append(label)

    @property
    def sizes(self) -> NDArray[np.int32]:
        """int32 [n, 2], height and width of the images as they are stored."""
        return np.array(self.stored, np.int32).reshape(-1, 2)

    def boxes(self, classes: Sequence[str]) -> Boxes:
        """All objects, with labels by these classes; stored boxes end at their image's edges."""
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
    """Sentences on a pack's objects: how many, ignored ones, and those that reach beyond their image."""
    counts = np.diff(boxes.first)
    said = [f"{len(boxes.labels):,} objects, {int(boxes.ignored.sum()):,} of them ignored (difficult or crowds)"]
    wide = np.repeat(boxes.original_sizes[:, [1, 0, 1, 0]], counts, axis=0)
    if n_beyond := int(((boxes.original < 0) | (boxes.original > wide)).any(axis=1).sum()):
        said.append(f"{n_beyond:,} boxes reach beyond their image: training sees them cut at its edge")
    if n_empty := int((counts == 0).sum()):
        said.append(f"{n_empty:,} images have no objects")
    return said


def save(folder: Path, boxes: Boxes) -> None:
    """Write each array into a file of its own."""
    for name in ARRAYS:
        with (folder / f"boxes_{name}.npy").open("wb") as file:
            np.save(file, getattr(boxes, name), allow_pickle=False)


def load(folder: Path) -> Boxes:
    """Map what ``save`` wrote."""
    return Boxes(**{name: np.load(folder / f"boxes_{name}.npy", "r", allow_pickle=False) for name in ARRAYS})
