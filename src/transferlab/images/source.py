"""What every source format gives: a stream of labelled images in a fixed order, and the facts known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from transferlab.taxonomy.tree import Taxonomy

SplitName = str  # "train", "val" or "test"


@dataclass(frozen=True)
class Unreadable:
    """In place of an image's data: it is known to the source but cannot be read, for this reason in a few words."""

    reason: str


@dataclass(frozen=True)
class OnDisk:
    """In place of an image's data: a file of its own, to be read where it is decoded; its size when it was listed."""

    path: Path
    n_bytes: int


AtHand = bytes | NDArray[np.uint8] | Unreadable
Data = AtHand | OnDisk


def at_hand(data: Data) -> AtHand:
    """An image's data with a file's bytes in its place, or why they cannot be had."""
    if not isinstance(data, OnDisk):
        return data
    try:
        return data.path.read_bytes()
    except OSError as error:
        return Unreadable(f"cannot be read ({error.strerror})")


@dataclass(frozen=True)
class Crop:
    """A square part of an image: its left and upper edge and its side, in pixels of the file as it is stored.

    Args:
        of: width and height that the file must have for these to mean anything.
    """

    left: float
    top: float
    side: float
    of: tuple[int, int]

    @property
    def corners(self) -> tuple[float, float, float]:
        return self.left, self.top, self.side


class Box(NamedTuple):
    """An annotated object: its class id and its edges in pixels, right and lower one exclusive, as they are given.

    ``ignored`` and ``area`` are as in specs.Boxes; no area is that of the box.
    """

    label: str
    x0: float
    y0: float
    x1: float
    y1: float
    ignored: bool = False
    crowd: bool = False
    area: float | None = None

    @property
    def flaw(self) -> str:
        """Why it is no box, in a few words, or ""."""
        where = " ".join(f"{value:g}" for value in self[1:5])
        if self.x1 < self.x0 or self.y1 < self.y0:
            return f"box with swapped corners ({self.label}, edges {where})"
        if self.x1 == self.x0 or self.y1 == self.y0:
            return f"box without area ({self.label}, edges {where})"
        return ""


@dataclass(frozen=True)
class Objects:
    """What is annotated in an image.

    Args:
        size: width and height that the annotation gives, which the image must have; None where it gives none.
        boxes: in the file's order.
        flaws: what is wrong with objects that cannot be used, each as the reason of a BadImage.
        reduced: the image may be a smaller copy of the annotated one.
    """

    size: tuple[int, int] | None
    boxes: tuple[Box, ...]
    flaws: tuple[str, ...] = ()
    reduced: bool = False


@dataclass(frozen=True, eq=False)
class Item:
    """One labelled image, not yet decoded.

    Args:
        key: its name inside the source, unique ("train/dog/1.jpg").
        data: the file's bytes or the file, or pixels uint8 [h, w] or [h, w, 3] where the format has them, or why there
            are none.
        label: class id, or several for multi-label sources.
        split: "train", "val", "test", or None where the format gives none.
        unscored: class ids of a multi-label source that are neither right nor wrong here.
        crop: the part that is meant; None is all of it.
        objects: for detection, what is annotated; the image is then kept whole.
    """

    key: str
    data: Data
    label: str | tuple[str, ...]
    split: SplitName | None
    unscored: tuple[str, ...] = ()
    crop: Crop | None = None
    objects: Objects | None = None


class LateClasses(Sequence[str]):
    """Class ids that only a pass over a source tells: one that ``items`` has made, or one made when they are asked for.

    Args:
        look: makes such a pass.
    """

    def __init__(self, look: Callable[[], tuple[str, ...]]) -> None:
        self._look = look
        self._names: tuple[str, ...] | None = None

    def found(self, names: tuple[str, ...]) -> None:
        """Take the ids from whoever came by them."""
        self._names = names

    @property
    def names(self) -> tuple[str, ...]:
        if self._names is None:
            self._names = self._look()
        return self._names

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self.names[index]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Source:
    """A labelled image set as it lies on disk.

    Args:
        name: for display, for example "clothing10".
        classes: class ids in class-index order; a format may find them out when they are first asked for.
        taxonomy: the format's own (nested folders, superclasses); None means flat.
        fingerprint: changes when the source's files change (names, sizes, times); cheap to compute.
        n_images: their number if known without reading the pixels, else None.
        items: gives the images, in the same order at every call.
        multi_label: whether labels are tuples.
        resplit: divide into splits anew, whatever the format gives.
        notes: sentences for the report.
        metric: for detection the main metric, ``mAP`` or COCO's ``AP``; else None.
    """

    name: str
    classes: Sequence[str]
    fingerprint: str
    items: Callable[[], Iterator[Item]]
    taxonomy: Taxonomy | None = None
    n_images: int | None = None
    multi_label: bool = False
    resplit: bool = False
    notes: Sequence[str] = field(default_factory=tuple)
    metric: str | None = None
