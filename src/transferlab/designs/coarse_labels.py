"""Coarse against fine labels at equal numbers of labels and images (Huh et al. 2016, E3 and E4).

A cut at a depth gives k labels of uneven width. Both arms have k labels and, label by label, the same number of images.
The coarse arm takes them from all classes that the label merges, in equal parts as far as possible; the fine arm takes
them from one of these classes, chosen at random. So the arms differ only in the variety within a label, not in the number
of labels or images, the parts of the taxonomy that they cover, or their balance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw, at_least_two
from transferlab.designs.labels_by_cut import DEPTH
from transferlab.identity import stream
from transferlab.specs import Subset
from transferlab.taxonomy.tree import LabelSet


def _draw_coarse(take: Draw, depth: int) -> Subset:
    labels, chosen = _one_class_of_each(take, depth)
    rows: list[NDArray[np.int32]] = []
    for label in range(len(chosen)):
        leaves = np.flatnonzero(labels.of_leaf == label)
        rows.append(_in_turns([take.rows_of_class[leaf] for leaf in leaves], int(take.sizes[chosen[label]])))
    of_row = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(r) for r in rows])
    return take.subset(np.concatenate(rows), of_row, labels.labels, labels.members)


def _draw_fine(take: Draw, depth: int) -> Subset:
    return take.of_classes(_one_class_of_each(take, depth)[1])


def _one_class_of_each(take: Draw, depth: int) -> tuple[LabelSet, list[int]]:
    labels = at_least_two(take.pack.taxonomy.cut(depth))
    chosen: list[int] = []
    for label, members in enumerate(labels.members):
        ids = sorted(members)
        pick = ids[int(stream("fine of", take.seed, take.replicate, labels.labels[label]).integers(len(ids)))]
        chosen.append(take.pack.taxonomy.leaves.index(pick))
    return labels, chosen


def _in_turns(groups: list[NDArray[np.int32]], n: int) -> NDArray[np.int32]:
    """The first n rows if one is taken from each group, then another from each, and so on."""
    turn = np.concatenate([np.arange(len(g)) for g in groups])
    return np.concatenate(groups)[np.argsort(turn, kind="stable")][:n]


coarse_matched = DesignDefinition(name="coarse_matched", parameters=DEPTH, draw=_draw_coarse)
fine_matched = DesignDefinition(name="fine_matched", parameters=DEPTH, draw=_draw_fine)
