"""Number of classes: random ones with all their images, or labels merged by cut, by merge passes or evenly (E2)."""

from __future__ import annotations

import numpy as np

from transferlab.designs.draw import Draw, between
from transferlab.specs import Design, Subset
from transferlab.taxonomy.tree import LabelSet


def all_images() -> Design:
    """Every class with all its train images."""
    return Design("all_images")


def random_classes(n: int) -> Design:
    """n random classes with all their images; fewer classes lie inside more."""
    return Design("random_classes", {"n": n})


def labels_by_cut(depth: int) -> Design:
    """All images, under the labels of the taxonomy's cut at a depth."""
    return Design("labels_by_cut", {"depth": depth})


def labels_by_merge(passes: int) -> Design:
    """All images, under the labels after so many merge passes."""
    return Design("labels_by_merge", {"passes": passes})


def labels_balanced(n: int) -> Design:
    """All images, under n labels of as many images each as the taxonomy allows.

    Against ``labels_by_cut`` at as many labels it tells the number of labels from their balance: 9 labels of ImageNet
    by depth are in effect 1.3, balanced ones 8.8.
    """
    return Design("labels_balanced", {"n": n})


def draw_all(take: Draw) -> Subset:
    """No level, so nothing is impossible."""
    return take.of_classes(range(len(take.sizes)))


def draw_random(take: Draw, n: int) -> Subset:
    """Raises UserError for fewer than 2 classes or more than there are."""
    return take.of_classes(take.class_order[: between("classes", n, 2, len(take.sizes))].tolist())


def draw_cut(take: Draw, depth: int) -> Subset:
    """Raises UserError for a depth that the taxonomy does not have, or whose cut is a single label."""
    return merged(take, take.pack.taxonomy.cut(depth))


def draw_merge(take: Draw, passes: int) -> Subset:
    """Raises UserError for more passes than the taxonomy allows, or that leave a single label."""
    return merged(take, take.pack.taxonomy.merge_up(passes))


def draw_balanced(take: Draw, n: int) -> Subset:
    """Raises UserError for a single label, or more than there are classes with images."""
    between("labels", n, 2, int((take.sizes > 0).sum()))
    return merged(take, take.pack.taxonomy.balanced(n, take.sizes))


def merged(take: Draw, labels: LabelSet) -> Subset:
    """All train images under a label set."""
    between(f"labels ({labels.made_by})", len(labels.labels), 2, len(labels.leaves))
    sizes = take.sizes
    of_row = np.repeat(labels.of_leaf, sizes)
    return take.subset(np.concatenate(take.rows_of_class), of_row, labels.labels, labels.members)
