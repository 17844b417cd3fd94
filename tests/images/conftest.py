"""Small images and sources made on the spot."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from PIL import Image

from transferlab.images.source import Item, Source


@pytest.fixture
def png() -> Callable[..., bytes]:
    """A PNG of one colour that a number chooses, or noise of that seed."""

    def make(number: int = 0, size: tuple[int, int] = (8, 8), noise: bool = False) -> bytes:
        if noise:
            pixels = np.random.Generator(np.random.PCG64(number)).integers(0, 256, (size[1], size[0], 3), np.uint8)
            return encoded(Image.fromarray(pixels), "PNG")
        return encoded(Image.new("RGB", size, (number % 256, number // 256 % 256, 128)), "PNG")

    return make


@pytest.fixture
def make_source(png: Callable[..., bytes]) -> Callable[..., Source]:
    """A source of so many images of each class, by default distinct ones without splits."""

    def make(
        n_images: int = 12, classes: Sequence[str] = ("cat", "dog"), fingerprint: str = "1",
        change: Callable[[Item], Item] = lambda item: item,
    ) -> Source:  # fmt: skip
        def items() -> Iterator[Item]:
            for number in range(n_images):
                label = classes[number % len(classes)]
                yield change(Item(f"{label}/{number}.png", png(number), label, None))

        return Source("made", classes, fingerprint, items, n_images=n_images)

    return make


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
