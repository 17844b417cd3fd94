"""Coarse labels against fine ones at one number of labels and of images (E3, E4).

A cut at a depth gives k labels of uneven width. Both arms have k labels, and label by label the same number of
images: the coarse arm takes them from all the classes that the label merges, in equal parts as far as they go; the
fine arm from one of these classes, chosen at random. So they differ in the variety within a label alone, not in
how many labels, how many images, which parts of the taxonomy, or how balanced.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transferlab.designs.draw import Draw, between
from transferlab.identity import stream
from transferlab.specs import Design, Subset


def coarse_matched(depth: int) -> Design:
    """The cut's labels, each with as many images as ``fine_matched`` has of it, from all of its classes."""
    return Design("coarse_matched", {"depth": depth})


def fine_matched(depth: int) -> Design:
    """One random class of each of the cut's labels, with all its images."""
    return Design("fine_matched", {"depth": depth})


def draw_coarse(take: Draw, depth: int) -> Subset:
    """Raises UserError for a depth that leaves fewer than two labels."""
    labels, chosen = _one_class_of_each(take, depth)
    rows: list[NDArray[np.int32]] = []
    for label in range(len(chosen)):
        leaves = np.flatnonzero(labels.of_leaf == label)
        rows.append(_in_turns([take.rows_of_class[leaf] for leaf in leaves], int(take.sizes[chosen[label]])))
    of_row = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(r) for r in rows])
    return take.subset(np.concatenate(rows), of_row, labels.labels, labels.members)


def draw_fine(take: Draw, depth: int) -> Subset:
    """Raises UserError for a depth that leaves fewer than two labels."""
    return take.of_classes(_one_class_of_each(take, depth)[1])


def _one_class_of_each(take: Draw, depth: int):
    labels = take.pack.taxonomy.cut(depth)
    between(f"labels ({labels.made_by})", len(labels.labels), 2, len(labels.leaves))
    chosen: list[int] = []
    for label, members in enumerate(labels.members):
        ids = sorted(members)
        pick = ids[int(stream("fine of", take.seed, take.replicate, labels.labels[label]).integers(len(ids)))]
        chosen.append(take.pack.taxonomy.leaves.index(pick))
    return labels, chosen


def _in_turns(groups: list[NDArray[np.int32]], n: int) -> NDArray[np.int32]:
    """The first n of one from each group, then another from each, …"""
    turn = np.concatenate([np.arange(len(g)) for g in groups])
    return np.concatenate(groups)[np.argsort(turn, kind="stable")][:n]
