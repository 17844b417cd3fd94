from __future__ import annotations

import numpy as np

from transferlab.images.sources.digits import FORMAT


def test_the_digits_fill_the_range_of_eight_bits() -> None:
    source = FORMAT.open("", {})
    items = list(source.items())
    pixels = np.stack([np.asarray(item.data) for item in items])
    assert pixels.shape == (1797, 8, 8) and pixels.dtype == np.uint8
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert {item.label for item in items} == set(source.classes) == set("0123456789")
    assert len({item.key for item in items}) == source.n_images == 1797
    assert FORMAT.open("", {}).fingerprint == source.fingerprint
