"""Classes left out, by subtree or list, and the matched control that leaves out as many others (Huh et al. 2016, E6)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transferlab.definitions import Parameter
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw, between
from transferlab.errors import UserError
from transferlab.specs import Pack, Subset
from transferlab.taxonomy import classlists


def _draw_without(take: Draw, nodes: Sequence[str]) -> Subset:
    without_them, _, total = _arms(take, nodes)
    return _trimmed(take, without_them, total)


def _draw_matched(take: Draw, nodes: Sequence[str]) -> Subset:
    _, without_others, total = _arms(take, nodes)
    return _trimmed(take, without_others, total)


def _arms(take: Draw, nodes: Sequence[str]) -> tuple[list[int], list[int], int]:
    """The classes that each arm keeps, and the number of images that both can have."""
    left_out = _excluded(take.pack, nodes)
    others = [int(c) for c in take.class_order if int(c) not in left_out]
    between("classes to leave out", len(left_out), 1, len(take.sizes) // 2)
    sizes = take.sizes
    removed = _closest_in_size(others, sizes, int(sizes[sorted(left_out)].sum()), len(left_out))
    kept = [[c for c in range(len(sizes)) if c not in out] for out in (left_out, removed)]
    return kept[0], kept[1], min(int(sizes[classes].sum()) for classes in kept)


def _excluded(pack: Pack, nodes: Sequence[str]) -> set[int]:
    wanted = {node for text in nodes for node in classlists.nodes(pack.taxonomy, text)}
    found = {i for i, leaf in enumerate(pack.taxonomy.leaves) if wanted & {leaf, *pack.taxonomy.ancestors(leaf)}}
    if not found:
        raise UserError("no class is left out", "exclusion", "name classes, or nodes above classes")
    return found


def _closest_in_size(others: list[int], sizes: NDArray[np.int64], n_images: int, n: int) -> set[int]:
    """The first n of these classes, replaced one by one by smaller ones until their number of images comes close."""
    removed, spare = others[:n], others[n:]
    for i in range(len(removed)):
        excess = int(sizes[removed].sum()) - n_images
        if excess <= 0:
            break
        smaller = [c for c in spare if sizes[c] < sizes[removed[i]]]
        if smaller:
            best = min(smaller, key=lambda c: abs(int(sizes[removed[i]]) - int(sizes[c]) - excess))
            spare[spare.index(best)], removed[i] = removed[i], best
    return set(removed)


def _trimmed(take: Draw, kept: list[int], total: int) -> Subset:
    """These classes with ``total`` images: the last images of the largest class are dropped first."""
    keep = {c: int(take.sizes[c]) for c in kept}
    largest = [(-n, c) for c, n in keep.items()]
    heapq.heapify(largest)
    for _ in range(sum(keep.values()) - total):
        less, c = largest[0]
        heapq.heapreplace(largest, (less + 1, c))
        keep[c] -= 1
    return take.of_classes(kept, np.array([keep.get(c, 0) for c in range(len(take.sizes))]))


NODES = {
    "nodes": Parameter(
        means='class ids or nodes of the taxonomy; in WordNet also synsets ("dog.n.01"), nouns of one sense, and class '
        'lists ("pascal-voc")', required=True, names=True,
    )
}  # fmt: skip
without = DesignDefinition(name="without", parameters=NODES, draw=_draw_without)
without_matched = DesignDefinition(name="without_matched", parameters=NODES, draw=_draw_matched)
