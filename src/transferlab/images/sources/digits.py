"""``digits``: the 1,797 handwritten digits of 8 by 8 pixels that scikit-learn contains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from transferlab.identity import digest
from transferlab.images.format import Format, Request
from transferlab.images.source import Item, Source


def read(request: Request) -> Source:
    """Ten classes without splits; pixel values 0…16 become 0…255."""
    from sklearn.datasets import load_digits

    held = cast(Any, load_digits())
    images: NDArray[np.uint8] = np.rint(held.images * (255 / 16)).astype(np.uint8)
    labels: list[str] = [str(label) for label in held.target.tolist()]

    def items() -> Iterator[Item]:
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield Item(f"{number:04d}", image, label, None)

    return Source(
        name="digits",
        classes=tuple("0123456789"),
        fingerprint=digest("digits", images, labels),
        items=items,
        n_images=len(labels),
    )


FORMAT = Format(name="digits", title="Digits", explained="scikit-learn's handwritten digits", read=read)
