"""The classes in two halves A and B, at random or far apart in the taxonomy, and their union (E7)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from transferlab.designs.draw import Draw, between
from transferlab.errors import UserError
from transferlab.identity import stream
from transferlab.specs import Design, Subset

Part = Literal["A", "B", "A+B"]


def random_split(part: Part) -> Design:
    """A random half of the classes, the other half, or both."""
    return Design("random_split", {"part": part})


def minimal_split(part: Part) -> Design:
    """Halves that share as little of the taxonomy as can be: whole subtrees go to one side.

    The paper's exact condition is not known; ours cuts the taxonomy where its branches are at most half of the
    classes each, and deals the branches out, largest first, to the smaller side (ties at random).
    """
    return Design("minimal_split", {"part": part})


def draw_random(take: Draw, part: str) -> Subset:
    """Raises UserError for another part, or fewer than four classes."""
    order = take.class_order
    between("classes", len(order), 4, 10**9)
    half = len(order) // 2
    return take.of_classes(_part(part, order[:half].tolist(), order[half:].tolist()))


def draw_minimal(take: Draw, part: str) -> Subset:
    """Raises UserError for another part, fewer than four classes, or a flat taxonomy."""
    taxonomy = take.pack.taxonomy
    between("classes", len(taxonomy.leaves), 4, 10**9)
    if taxonomy.is_flat:
        raise UserError("a flat set has no halves that are far apart", "minimal_split", "use random_split")
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
    return take.of_classes(_part(part, *sides))


def _part(part: str, a: list[int], b: list[int]) -> list[int]:
    if part not in ("A", "B", "A+B"):
        raise UserError(f"there is no part {part!r}", "split", "parts are A, B and A+B")
    return {"A": a, "B": b, "A+B": a + b}[part]
