"""Labels by cut: all images, under the labels of the taxonomy at a depth."""

from __future__ import annotations

from transferlab.definitions import Parameter
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw
from transferlab.specs import Subset

DEPTH = {"depth": Parameter(means="steps below the root of the taxonomy", required=True, low=0, whole=True)}


def _draw(take: Draw, depth: int) -> Subset:
    return take.merged(take.pack.taxonomy.cut(depth))


labels_by_cut = DesignDefinition(name="labels_by_cut", parameters=DEPTH, draw=_draw)
