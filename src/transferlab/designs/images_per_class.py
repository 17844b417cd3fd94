"""Images per class: the same classes, n images of each (Huh et al. 2016, E1)."""

from __future__ import annotations

from typing import Literal

from transferlab.designs.draw import Draw, between
from transferlab.errors import UserError
from transferlab.specs import Design, Subset


def images_per_class(n: int, short: Literal["error", "keep"] = "error") -> Design:
    """n random train images of each class.

    Args:
        short: what to do with classes of fewer images: refuse, or keep all that they have.
    """
    return Design("images_per_class", {"n": n, "short": short})


def draw(take: Draw, n: int, short: str) -> Subset:
    """Raises UserError for an n that no class, or under "error" not every class, has."""
    if short not in ("error", "keep"):
        raise UserError(f"short = {short!r} is unknown", "images_per_class", "choose error or keep")
    sizes = take.sizes
    between("images per class", n, 1, int(sizes.min() if short == "error" else sizes.max()))
    return take.of_classes(range(len(sizes)), n)
