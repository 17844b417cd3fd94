"""The classes in two halves A and B, at random or far apart in the taxonomy, and their union (Huh et al. 2016, E7)."""

from __future__ import annotations

import numpy as np

from transferlab.definitions import Parameter
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw, between
from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.specs import Subset


def _draw_random(take: Draw, part: str) -> Subset:
    order = take.class_order
    between("classes", len(order), 4, 10**9)
    half = len(order) // 2
    return take.of_classes(_sides(order[:half].tolist(), order[half:].tolist())[part])


def _draw_minimal(take: Draw, part: str) -> Subset:
    """Huh et al. do not state their exact condition; ours cuts the taxonomy where no branch has more than half of the
    classes, and deals the branches out, largest first, to the smaller side (ties at random).
    """
    taxonomy = take.pack.taxonomy
    between("classes", len(taxonomy.leaves), 4, 10**9)
    if taxonomy.is_flat:
        raise UserError("a flat taxonomy has no halves that are far apart", "minimal_split", "use random_split")
    depth = next(
        d for d in range(1, taxonomy.max_depth + 1) if taxonomy.cut(d).sizes().max() * 2 <= len(taxonomy.leaves)
    )
    cut = taxonomy.cut(depth)
    sizes = cut.sizes()
    ties = stream("minimal split", take.seed, take.replicate).permutation(len(sizes))
    sides: tuple[list[int], list[int]] = ([], [])
    for label in np.lexsort((ties, -sizes)):
        smaller = min(sides, key=len)
        smaller.extend(int(i) for i in np.flatnonzero(cut.of_leaf == label))
    return take.of_classes(_sides(*sides)[part])


def _sides(a: list[int], b: list[int]) -> dict[str, list[int]]:
    return {"A": a, "B": b, "A+B": a + b}


PART = {"part": Parameter(means="which half, or both", required=True, words=tuple(_sides([], [])))}
random_split = DesignDefinition(name="random_split", parameters=PART, draw=_draw_random)
minimal_split = DesignDefinition(name="minimal_split", parameters=PART, draw=_draw_minimal)
