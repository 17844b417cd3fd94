"""Labels by merge: all images, under the labels after so many merge passes up the taxonomy."""

from __future__ import annotations

from transferlab.definitions import Parameter
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw
from transferlab.specs import Subset


def _draw(take: Draw, passes: int) -> Subset:
    return take.merged(take.pack.taxonomy.merge_up(passes))


labels_by_merge = DesignDefinition(
    name="labels_by_merge",
    parameters={"passes": Parameter(means="merge passes", required=True, low=1, whole=True)},
    draw=_draw,
)
