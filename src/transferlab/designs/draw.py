"""What all designs share: the random order of classes and images of a seed, and the making of a subset from rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.specs import TRAIN, Pack, Subset
from transferlab.taxonomy.tree import LabelSet


@dataclass(frozen=True, eq=False)
class Draw:
    """One fresh draw from a pack: a random order of its classes, and of the train images of each class.

    Image k of a class is the same in every condition of a seed, and so is class k: smaller conditions lie inside larger
    ones, and differences between conditions are paired. The orders depend on seed, replicate and class ids alone.
    """

    pack: Pack
    seed: int
    replicate: int = 0

    @cached_property
    def rows_of_class(self) -> list[NDArray[np.int32]]:
        """The train rows of each class in this draw's order, int32."""
        names = ("images", self.seed, self.replicate)
        return [members[stream(*names, leaf).permutation(len(members))]
                for leaf, members in zip(self.pack.taxonomy.leaves, _members(self.pack), strict=True)]  # fmt: skip

    @cached_property
    def class_order(self) -> NDArray[np.int64]:
        """All class indices in this draw's order, int64 [c]."""
        ids = np.argsort(np.array(self.pack.taxonomy.leaves, dtype=object), kind="stable")
        return ids[stream("classes", self.seed, self.replicate).permutation(len(ids))]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The number of train images of each class, int64 [c]."""
        return np.array([len(rows) for rows in _members(self.pack)], np.int64)

    def of_classes(self, classes: Sequence[int], n_images: int | NDArray[np.integer] | None = None) -> Subset:
        """The first images of each of these classes, each class its own label.

        Args:
            n_images: how many of each class: one number, int [c] for all c classes of the pack, or None for all images.
        """
        chosen = sorted(int(c) for c in classes)
        most = np.broadcast_to(self.sizes if n_images is None else n_images, self.sizes.shape)
        rows = [self.rows_of_class[c][: most[c]] for c in chosen]
        labels = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(r) for r in rows])
        leaves = [self.pack.taxonomy.leaves[c] for c in chosen]
        return self.subset(np.concatenate(rows), labels, leaves, [(leaf,) for leaf in leaves])

    def merged(self, labels: LabelSet) -> Subset:
        """All train images under a label set; raises UserError if that has a single label."""
        of_row = np.repeat(at_least_two(labels).of_leaf, self.sizes)
        return self.subset(np.concatenate(self.rows_of_class), of_row, labels.labels, labels.members)

    def subset(
        self, rows: NDArray[np.int32], labels: NDArray[np.int32], names: Sequence[str],
        members: Sequence[tuple[str, ...]],
    ) -> Subset:  # fmt: skip
        """The subset of these rows and labels, in any order; labels without rows are dropped and the others renumbered."""
        of_row = np.full(len(self.pack.split), -1, np.int32)  # one entry per image, which saves sorting
        of_row[rows] = labels
        ascending = np.flatnonzero(of_row >= 0).astype(np.int32)
        of_row = of_row[ascending]
        used = np.flatnonzero(np.bincount(of_row, minlength=len(names)))
        closed = np.zeros(len(names), np.int32)
        closed[used] = np.arange(len(used), dtype=np.int32)
        kept = [int(i) for i in used]
        return Subset(
            self.pack.digest, ascending, closed[of_row], tuple(str(names[i]) for i in kept),
            tuple(members[i] for i in kept),
        )  # fmt: skip


@lru_cache(maxsize=1)
def _members(pack: Pack) -> list[NDArray[np.int32]]:
    """The train rows of each class in the order of image ids, so that an image's place in the pack does not matter.

    Those of the latest pack are kept, since every draw of a plan starts from them.
    """
    rows = pack.rows(TRAIN)
    rows = rows[np.argsort(pack.image_ids[rows])]
    labels = pack.labels[rows].astype(np.uint16 if len(pack.taxonomy.leaves) < 2**16 else np.int32)
    order = np.argsort(labels, kind="stable")  # a radix sort for 16 bits
    borders = np.searchsorted(labels[order], np.arange(len(pack.taxonomy.leaves) + 1, dtype=np.int64))
    return np.split(rows[order], borders[1:-1])


def at_least_two(labels: LabelSet) -> LabelSet:
    """The label set; raises UserError if it has fewer than two labels."""
    between(f"labels ({labels.made_by})", len(labels.labels), 2, len(labels.leaves))
    return labels


def between(name: str, value: int, low: int, high: int) -> int:
    """The value; raises UserError if it lies outside the possible range."""
    if not low <= value <= high:
        raise UserError(f"{name} = {value} is impossible", "design", f"choose from {low} to {high}")
    return value
