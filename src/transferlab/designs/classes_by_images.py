"""One budget of images, divided among more or fewer classes (E5)."""

from __future__ import annotations

from transferlab.designs.draw import Draw, between
from transferlab.specs import Design, Subset


def classes_by_images(n_classes: int, n_images: int) -> Design:
    """n_classes random classes with n_images each; equal products are equal budgets."""
    return Design("classes_by_images", {"n_classes": n_classes, "n_images": n_images})


def draw(take: Draw, n_classes: int, n_images: int) -> Subset:
    """Raises UserError for more classes, or more images of them, than there are."""
    between("classes", n_classes, 2, len(take.sizes))
    chosen = take.class_order[:n_classes]
    between(f"images per class of these {n_classes} classes", n_images, 1, int(take.sizes[chosen].min()))
    return take.of_classes(chosen.tolist(), n_images)
