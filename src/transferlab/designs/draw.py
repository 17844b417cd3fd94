"""What all designs share: the order in which a seed takes classes and images, and how rows become a subset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.specs import TRAIN, Pack, Subset


@dataclass(frozen=True, eq=False)
class Draw:
    """One fresh draw from a pack: a random order of its classes, and of the train images of each class.

    Image k of a class is the same in every condition of a seed, and so is the k-th class: smaller conditions lie
    inside larger ones, and differences between conditions are paired. The orders depend on seed, replicate and
    class ids alone.
    """

    pack: Pack
    seed: int
    replicate: int = 0

    @cached_property
    def rows_of_class(self) -> list[NDArray[np.int32]]:
        """For each class its train rows in this draw's order, int32."""
        rows = self.pack.rows(TRAIN)
        labels, ids = self.pack.labels[rows], self.pack.image_ids[rows]
        order = np.lexsort((ids, labels))  # by id, so that where an image lies in the pack does not matter
        rows, labels = rows[order], labels[order]
        borders = np.searchsorted(labels, np.arange(len(self.pack.taxonomy.leaves) + 1))
        found: list[NDArray[np.int32]] = []
        for index, leaf in enumerate(self.pack.taxonomy.leaves):
            members = rows[borders[index] : borders[index + 1]]
            found.append(members[stream("images", self.seed, self.replicate, leaf).permutation(len(members))])
        return found

    @cached_property
    def class_order(self) -> NDArray[np.int64]:
        """All class indices in this draw's order, int64 [c]."""
        ids = np.argsort(np.array(self.pack.taxonomy.leaves, dtype=object), kind="stable")
        return ids[stream("classes", self.seed, self.replicate).permutation(len(ids))]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Train images of each class, int64 [c]."""
        return np.array([len(rows) for rows in self.rows_of_class], np.int64)

    def of_classes(self, classes: Sequence[int], n_images: int | None = None) -> Subset:
        """The first ``n_images`` (or all) of each of these classes, each class its own label."""
        chosen = sorted(int(c) for c in classes)
        rows = [self.rows_of_class[c][:n_images] for c in chosen]
        labels = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(r) for r in rows])
        leaves = [self.pack.taxonomy.leaves[c] for c in chosen]
        return self.subset(np.concatenate(rows), labels, leaves, [(leaf,) for leaf in leaves])

    def subset(
        self, rows: NDArray[np.int32], labels: NDArray[np.int32], names: Sequence[str],
        members: Sequence[tuple[str, ...]],
    ) -> Subset:  # fmt: skip
        """Rows and labels in any order as a Subset; labels without a row are left out and the others closed up."""
        order = np.argsort(rows, kind="stable")
        used, closed = np.unique(labels[order], return_inverse=True)
        kept = [int(i) for i in used]
        return Subset(
            self.pack.digest, rows[order].astype(np.int32), closed.astype(np.int32),
            tuple(str(names[i]) for i in kept), tuple(members[i] for i in kept),
        )  # fmt: skip


def between(name: str, value: int, low: int, high: int) -> int:
    """The value, if it lies in the possible range.

    Raises:
        UserError: it does not.
    """
    if not low <= value <= high:
        raise UserError(f"{name} = {value} is impossible", "design", f"choose from {low} to {high}")
    return value
