"""Images per class: the same classes, n images of each (Huh et al. 2016, E1)."""

from __future__ import annotations

from transferlab.definitions import Parameter
from transferlab.designs.definition import DesignDefinition
from transferlab.designs.draw import Draw, between
from transferlab.specs import Subset


def _draw(take: Draw, n: int, short: str) -> Subset:
    most = take.sizes.min() if short == "error" else take.sizes.max()
    return take.of_classes(range(len(take.sizes)), between("images per class", n, 1, int(most)))


images_per_class = DesignDefinition(
    name="images_per_class",
    parameters={
        "n": Parameter(means="train images of each class", required=True, low=1, whole=True),
        "short": Parameter(means="what to do with classes that have fewer images: refuse the study, or keep all they have",
                           default="error", words=("error", "keep")),
    },
    draw=_draw,
    per_class="n",
)  # fmt: skip
