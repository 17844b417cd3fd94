"""All images: the whole source under its own classes."""

from __future__ import annotations

from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw
from transferlab.specs import Subset


def _draw(take: Draw) -> Subset:
    return take.of_classes(range(len(take.sizes)))


all_images = DesignDefinition(name="all_images", draw=_draw)
