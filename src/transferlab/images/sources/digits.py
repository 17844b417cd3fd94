"""``digits``: scikit-learn's 1,797 handwritten digits, 8×8 pixels, inside the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from transferlab.identity import digest
from transferlab.images.source import Item, Source


def read(path: str, options: Mapping[str, str]) -> Source:
    """Ten classes; values 0…16 become 0…255. The images of one writer follow each other, unmarked."""
    from sklearn.datasets import load_digits

    held = cast(Any, load_digits())
    images = np.round(held.images * (255 / 16)).astype(np.uint8)
    names = [str(label) for label in held.target]

    def items() -> Iterator[Item]:
        for i, image in enumerate(images):
            yield Item(f"{i:04d}", image, names[i], None)

    return Source(
        name="digits", classes=[str(d) for d in range(10)], fingerprint=digest("digits", images, names), items=items,
        n_images=len(names),
    )  # fmt: skip
