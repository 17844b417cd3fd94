"""Balanced labels: all images, under labels of as equal size as the taxonomy allows.

Compared with ``labels_by_cut`` at as many labels, it separates the number of labels from their balance: the 9 labels of
ImageNet by depth amount to 1.3 effective labels, 9 balanced ones to 8.8.
"""

from __future__ import annotations

from transferlab.definitions import Parameter
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw, between
from transferlab.specs import Subset
from transferlab.taxonomy.balance import balanced


def _draw(take: Draw, n: int) -> Subset:
    between("labels", n, 2, int((take.sizes > 0).sum()))
    return take.merged(balanced(take.pack.taxonomy, n, take.sizes))


labels_balanced = DesignDefinition(
    name="labels_balanced",
    parameters={"n": Parameter(means="labels", required=True, low=2, whole=True)},
    draw=_draw,
)
