"""Hashes and sums of images: what a pack's hash, mean and deviation are made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transferlab.images.survey import file_hash, moments, n_pixels, survey, surveyed

sides = st.integers(1, 70)


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_moments_are_those_of_all_pixels_whatever_the_sizes(sizes: list[tuple[int, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]) / 255
    mean, std = moments(survey(images)[1], n_pixels(np.array(sizes, np.int32)))
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose(std, np.maximum(pixels.std(0), 1e-3), rtol=1e-6)


def test_the_sums_of_the_largest_and_brightest_image_fit() -> None:
    _, sums = surveyed(np.full((1024, 1024, 3), 255, np.uint8))
    assert sums == [1024 * 1024 * 255] * 3 + [1024 * 1024 * 255**2] * 3


@pytest.mark.parametrize("change", ["a pixel", "the order", "the shape", "one less"])
def test_the_hash_of_all_images_changes_with(change: str) -> None:
    images = [np.full((4, 6, 3), i, np.uint8) for i in range(3)]
    whole = file_hash(survey(images)[0])
    if change == "a pixel":
        images[1][0, 0, 0] ^= 1
    elif change == "the order":
        images.reverse()
    elif change == "the shape":
        images[0] = images[0].reshape(6, 4, 3)
    else:
        images.pop()
    assert file_hash(survey(images)[0]) != whole
