"""Designs: a pack and a seed come in, a subset goes out: which train images, under which labels.

One definition each, in a file of its own; the table DESIGNS finds them by name. A design reads no file, clock or global
generator, and never looks at validation or test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transferlab.definitions import Table, Value
from transferlab.designs.all_images import all_images
from transferlab.designs.classes_by_images import classes_by_images
from transferlab.designs.coarse_labels import coarse_matched, fine_matched
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw
from transferlab.designs.images_per_class import images_per_class
from transferlab.designs.labels_balanced import labels_balanced
from transferlab.designs.labels_by_cut import labels_by_cut
from transferlab.designs.labels_by_merge import labels_by_merge
from transferlab.designs.random_classes import random_classes
from transferlab.designs.shuffled_labels import permuted, shuffled, unshuffled
from transferlab.designs.splits import minimal_split, random_split
from transferlab.designs.without import without, without_matched
from transferlab.errors import UserError
from transferlab.specs import TRAIN, Design, Pack, Subset
from transferlab.taxonomy.tree import effective_labels

__all__ = [
    "DESIGNS", "DesignDefinition", "Draw", "all_images", "check", "classes_by_images", "coarse_matched", "draw", "export_ids",
    "facts", "fine_matched", "images_per_class", "labels_balanced", "labels_by_cut", "labels_by_merge", "minimal_split",
    "random_classes", "random_split", "shuffled", "take", "without", "without_matched",
]  # fmt: skip

DESIGNS = Table(
    "design",
    DesignDefinition,
    [
        all_images, images_per_class, random_classes, labels_by_cut, labels_by_merge, labels_balanced, coarse_matched,
        fine_matched, classes_by_images, without, without_matched, random_split, minimal_split,
    ],
)  # fmt: skip


@dataclass(frozen=True)
class SubsetFacts:
    """Sizes of a subset: images, labels, effective labels exp(entropy), and the largest label's share, 0…1."""

    n_images: int
    n_labels: int
    effective_labels: float
    largest_share: float


def check(design: Design) -> tuple[DesignDefinition, dict[str, Value]]:
    """The definition and the settings of a design, checked without any data.

    Raises:
        UserError: an unknown design or setting, or a value out of range.
    """
    found = DESIGNS.find(unshuffled(design), "study")
    return found, found.settings(design.knobs)


def draw(design: Design, pack: Pack, seed: int, replicate: int = 0) -> Subset:
    """Take the subset that a design names; see ``take``.

    Args:
        seed: each is a fresh draw of classes and images. replicate: other than 0 for an independent twin (A/A).
    """
    return take(design, Draw(pack, seed, replicate))


def take(design: Design, drawn: Draw) -> Subset:
    """The subset that a design names, from a draw that several designs may share.

    Raises:
        UserError: as ``check``; a level that the source does not allow; a multi-label source.
    """
    found, settings = check(design)
    if drawn.pack.multi_label:
        raise UserError(
            "a source with several labels per image cannot be subset by class", drawn.pack.name, "use one label"
        )
    subset = found.draw(drawn, **settings)
    if DESIGNS.brought(found.name) is not None:
        _must_be_part(subset, drawn.pack, found.name)
    return subset if found.name == design.name else permuted(subset, drawn.seed, drawn.replicate)


def _must_be_part(subset: Any, pack: Pack, name: str) -> None:
    """Raise UserError if a design from outside has drawn something that is no subset of the pack."""
    flaw = f"{subset!r:.40} is no Subset"
    if isinstance(subset, Subset):
        rows, labels, k = subset.rows, subset.labels, len(subset.label_names)
        flaw = ("it has no images" if not len(rows) else
                "its rows and labels differ in number" if rows.shape != labels.shape or rows.ndim != 1 else
                "its rows are not ascending" if (np.diff(rows) <= 0).any() else
                "it has rows that are no training images" if not np.isin(rows, pack.rows(TRAIN)).all() else
                f"its labels are not the numbers 0 to {k - 1}" if not np.array_equal(np.unique(labels), np.arange(k)) else "")  # fmt: skip
    if flaw:
        raise UserError(f"the design draws an impossible subset: {flaw}", f"design {name!r}", "correct it")


def facts(subset: Subset) -> SubsetFacts:
    """Sizes of a subset and of its labels."""
    sizes = np.bincount(subset.labels)
    return SubsetFacts(
        len(subset.rows), len(subset.label_names), effective_labels(sizes), float(sizes.max() / sizes.sum())
    )


def export_ids(subset: Subset, pack: Pack) -> list[str]:
    """The subset as image ids, 16 hexadecimal digits each, in the pack's order."""
    return [f"{int(i):016x}" for i in pack.image_ids[subset.rows]]
