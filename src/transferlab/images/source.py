"""A source: labelled images in a fixed order, read one after another, and what is known about them before."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from transferlab.taxonomy.tree import Taxonomy


@dataclass(frozen=True)
class Unreadable:
    """Instead of an image's data: the reason, in a few words, why it cannot be read."""

    reason: str


@dataclass(frozen=True)
class OnDisk:
    """Instead of an image's data: its file, which is read where the image is decoded, and its size when it was listed."""

    path: Path
    n_bytes: int


NO_WAIT = getattr(os, "O_NONBLOCK", 0)
AtHand = bytes | NDArray[np.uint8] | Unreadable
Data = AtHand | OnDisk


def at_hand(data: Data) -> AtHand:
    """An image's data, where a file is replaced by its bytes or by the reason why it cannot be read."""
    if not isinstance(data, OnDisk):
        return data
    try:
        # Without waiting for a pipe's other end, if a pipe has come into the file's place.
        with open(data.path, "rb", opener=lambda path, flags: os.open(path, flags | NO_WAIT)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Unreadable("not a regular file")
            content = file.read(data.n_bytes + 1)
    except OSError as error:
        return Unreadable(f"cannot be read ({error.strerror})")
    return content if len(content) == data.n_bytes else Unreadable("of another size than when it was listed")


@dataclass(frozen=True)
class Crop:
    """A square part of an image: left and upper edge and side, in pixels of the stored file.

    Args:
        of: width and height of the image that these pixels belong to; the file must have them.
    """

    left: float
    top: float
    side: float
    of: tuple[int, int]

    @property
    def corners(self) -> tuple[float, float, float]:
        return self.left, self.top, self.side


class Box(NamedTuple):
    """An annotated object: its class id and its edges in pixels as annotated, right and lower edge exclusive.

    ``ignored``, ``crowd`` and ``area`` are as in specs.Boxes; without an area, that of the box counts.
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
        """Why the box cannot be used, in a few words, or ""."""
        where = " ".join(f"{value:g}" for value in self[1:5])
        if self.x1 < self.x0 or self.y1 < self.y0:
            return f"box with swapped corners ({self.label}, edges {where})"
        if self.x1 == self.x0 or self.y1 == self.y0:
            return f"box without area ({self.label}, edges {where})"
        return ""


@dataclass(frozen=True)
class Objects:
    """The annotated objects of an image.

    Args:
        size: width and height in the annotation, which the image must have; None if the annotation has none.
        boxes: in the order of the file.
        flaws: why other objects cannot be used, a few words each.
        reduced: whether the image may be a smaller copy of the annotated one.
    """

    size: tuple[int, int] | None
    boxes: tuple[Box, ...]
    flaws: tuple[str, ...] = ()
    reduced: bool = False


@dataclass(frozen=True, eq=False)
class Item:
    """One labelled image, not yet decoded.

    Args:
        key: its unique name inside the source ("train/dog/1.jpg").
        data: its file or that file's bytes, pixels uint8 [h, w] or [h, w, 3], or why there are none.
        label: class id, or several for multi-label sources.
        split: "train", "val", "test", or None if the source has no splits.
        unscored: class ids of a multi-label source that are not scored for this image.
        crop: the part to use; None is the whole image.
        objects: the annotated objects, for detection; the image is then kept whole.
    """

    key: str
    data: Data
    label: str | tuple[str, ...]
    split: str | None
    unscored: tuple[str, ...] = ()
    crop: Crop | None = None
    objects: Objects | None = None


class LateClasses(Sequence[str]):
    """Class ids that only a pass over a source finds: one by ``items``, or one made when they are first asked for.

    Args:
        look: makes such a pass.
    """

    def __init__(self, look: Callable[[], tuple[str, ...]]) -> None:
        self._look = look
        self._names: tuple[str, ...] | None = None

    def found(self, names: tuple[str, ...]) -> None:
        """Store the ids that a pass has found."""
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
    """A labelled image set on disk.

    Args:
        name: for display, for example "clothing10".
        classes: class ids in class-index order; ``LateClasses`` finds them when they are first asked for.
        fingerprint: changes with the source's files (names, sizes, times); cheap to compute.
        items: returns the images, in the same order at every call.
        taxonomy: the format's own (nested folders, superclasses); None means flat.
        n_images: their number, if known without reading the pixels.
        multi_label: whether labels are tuples.
        stated: where the source states its splits, such as "by the folders train and test"; "" if the format says it.
        resplit: whether to ignore the format's splits and divide the images again.
        notes: sentences for the report.
        late_notes: more of them, complete once all items have been read.
        metric: for detection the main metric, ``mAP`` or COCO's ``AP``; else None.
        has_wnids: whether class ids are WordNet ids, so that WordNet is the taxonomy unless another is given.
    """

    name: str
    classes: Sequence[str]
    fingerprint: str
    items: Callable[[], Iterator[Item]]
    taxonomy: Taxonomy | None = None
    n_images: int | None = None
    multi_label: bool = False
    stated: str = ""
    resplit: bool = False
    notes: Sequence[str] = field(default_factory=tuple)
    late_notes: Sequence[str] = field(default_factory=tuple)
    metric: str | None = None
    has_wnids: bool = False
