"""Classes by images: one budget of images, divided among more or fewer classes (Huh et al. 2016, E5)."""

from __future__ import annotations

from transferlab.definitions import Parameter
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw, between
from transferlab.specs import Subset


def _draw(take: Draw, n_classes: int, n_images: int) -> Subset:
    between("classes", n_classes, 2, len(take.sizes))
    chosen = take.class_order[:n_classes]
    between(f"images per class of these {n_classes} classes", n_images, 1, int(take.sizes[chosen].min()))
    return take.of_classes(chosen.tolist(), n_images)


classes_by_images = DesignDefinition(
    name="classes_by_images",
    parameters={
        "n_classes": Parameter(means="classes", required=True, low=2, whole=True),
        "n_images": Parameter(means="train images of each class", required=True, low=1, whole=True),
    },
    draw=_draw,
    division=("n_classes", "n_images"),
)
