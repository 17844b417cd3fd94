"""Designs: rules that take a subset. One file each; the table DESIGNS; constructors for studies."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transferlab.designs import (
    class_count,
    coarse_labels,
    exclusion,
    shuffled_labels,
    splits,
)
from transferlab.designs import (
    classes_by_images as _classes_by_images,
)
from transferlab.designs import (
    images_per_class as _images_per_class,
)
from transferlab.designs.class_count import all_images, labels_balanced, labels_by_cut, labels_by_merge, random_classes
from transferlab.designs.classes_by_images import classes_by_images
from transferlab.designs.coarse_labels import coarse_matched, fine_matched
from transferlab.designs.draw import Draw
from transferlab.designs.exclusion import without, without_matched
from transferlab.designs.images_per_class import images_per_class
from transferlab.designs.shuffled_labels import shuffled
from transferlab.designs.splits import minimal_split, random_split
from transferlab.errors import UserError
from transferlab.specs import Design, Pack, Subset
from transferlab.taxonomy.tree import effective_labels

__all__ = [
    "DESIGNS", "Draw", "all_images", "classes_by_images", "coarse_matched", "draw", "export_ids", "facts", "fine_matched",
    "images_per_class", "labels_balanced", "labels_by_cut", "labels_by_merge", "minimal_split", "random_classes", "random_split",
    "shuffled", "take", "without", "without_matched",
]  # fmt: skip

# A rule takes a Draw and its knobs by name.
DESIGNS: dict[str, Callable[..., Subset]] = {
    "all_images": class_count.draw_all,
    "images_per_class": _images_per_class.draw,
    "random_classes": class_count.draw_random,
    "labels_by_cut": class_count.draw_cut,
    "labels_by_merge": class_count.draw_merge,
    "labels_balanced": class_count.draw_balanced,
    "coarse_matched": coarse_labels.draw_coarse,
    "fine_matched": coarse_labels.draw_fine,
    "classes_by_images": _classes_by_images.draw,
    "without": exclusion.draw_without,
    "without_matched": exclusion.draw_matched,
    "random_split": splits.draw_random,
    "minimal_split": splits.draw_minimal,
}


@dataclass(frozen=True)
class SubsetFacts:
    """Sizes of a subset: images, labels, effective labels exp(entropy), and the largest label's share, 0…1."""

    n_images: int
    n_labels: int
    effective_labels: float
    largest_share: float


def draw(design: Design, pack: Pack, seed: int, replicate: int = 0) -> Subset:
    """Take the subset that a design names; see ``take``.

    Args:
        seed: each is a fresh draw of classes and images. replicate: other than 0 for an independent twin (A/A).
    """
    return take(design, Draw(pack, seed, replicate))


def take(design: Design, drawn: Draw) -> Subset:
    """The subset that a design names, from a draw that several designs may share.

    Raises:
        UserError: an unknown design or knob, an impossible level, a multi-label source.
    """
    name = design.name.removeprefix(shuffled_labels.PREFIX)
    if name not in DESIGNS:
        raise UserError(f"there is no design {name!r}", "study", f"designs are {', '.join(DESIGNS)}")
    if drawn.pack.multi_label:
        raise UserError(
            "a source with several labels an image cannot be subset by class", drawn.pack.name, "use one label"
        )
    wanted = list(inspect.signature(DESIGNS[name]).parameters)[1:]
    if sorted(wanted) != sorted(design.knobs):
        got = ", ".join(design.knobs) or "none"
        raise UserError(f"{name} does not take the knobs {got}", "study", f"it takes {', '.join(wanted) or 'none'}")
    subset = DESIGNS[name](drawn, **design.knobs)
    if name != design.name:
        return shuffled_labels.permuted(subset, drawn.seed, drawn.replicate)
    return subset


def facts(subset: Subset) -> SubsetFacts:
    """Sizes of a subset and of its labels."""
    sizes = np.bincount(subset.labels)
    return SubsetFacts(
        len(subset.rows), len(subset.label_names), effective_labels(sizes), float(sizes.max() / sizes.sum())
    )


def export_ids(subset: Subset, pack: Pack) -> list[str]:
    """The subset as image ids, 16 hexadecimal digits each, in the pack's order."""
    return [f"{int(i):016x}" for i in pack.image_ids[subset.rows]]
