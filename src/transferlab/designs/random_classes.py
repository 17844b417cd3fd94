"""Random classes: fewer classes, each with all its images; smaller choices of classes lie inside larger ones."""

from __future__ import annotations

from transferlab.definitions import Parameter
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw, between
from transferlab.specs import Subset


def _draw(take: Draw, n: int) -> Subset:
    return take.of_classes(take.class_order[: between("classes", n, 2, len(take.sizes))].tolist())


random_classes = DesignDefinition(
    name="random_classes",
    parameters={"n": Parameter(means="classes", required=True, low=2, whole=True)},
    draw=_draw,
)
