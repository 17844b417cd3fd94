"""Index streams and augmentation: whole epochs, functions of the step alone, pixels that only move."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from transferlab.engine.backbones import build
from transferlab.engine.batches import Examples, Images, Place, augmented, features, positions_at, recoloured
from transferlab.specs import Augmentation

CPU = Place("cpu", "fp32")


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 50), st.integers(1, 40), st.integers(0, 5))
def test_every_epoch_sees_every_example_once(n: int, batch: int, seed: int) -> None:
    steps = -(-2 * n // batch)
    seen = np.concatenate([positions_at(step, batch, n, seed) for step in range(steps)])[: 2 * n]
    assert sorted(seen[:n]) == list(range(n))
    assert sorted(seen[n:]) == list(range(n))


def test_a_step_does_not_depend_on_the_steps_before() -> None:
    late = positions_at(17, 8, 30, 1)
    for step in range(17):
        positions_at(step, 8, 30, 1)
    assert (positions_at(17, 8, 30, 1) == late).all()


def test_a_crop_is_a_window_of_the_reflected_image_or_its_mirror() -> None:
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 255, (6, 10, 10, 3)).astype(np.uint8))
    out = augmented(pixels, Augmentation(crop_px=3, flip=True), np.random.default_rng(1))
    padded = F.pad(pixels.permute(0, 3, 1, 2).float(), (3, 3, 3, 3), mode="reflect").to(torch.uint8)
    for image, wide in zip(out.permute(0, 3, 1, 2), padded, strict=True):
        windows = [wide[:, y : y + 10, x : x + 10] for y in range(7) for x in range(7)]
        assert any(torch.equal(image, w) or torch.equal(image, w.flip(-1)) for w in windows)


def test_without_crop_and_flip_pixels_stay() -> None:
    pixels = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    assert augmented(pixels, Augmentation(crop_px=0, flip=False), np.random.default_rng(0)) is pixels


def test_cutout_blanks_a_square_of_at_most_its_side() -> None:
    inputs = torch.ones(20, 3, 16, 16)
    out = recoloured(inputs, Augmentation(crop_px=0, flip=False, cutout_px=6), np.random.default_rng(0))
    holes = (out == 0).sum((1, 2, 3)) / 3
    assert holes.max() <= 36
    assert holes.max() == 36
    assert (out[:, 0] == out[:, 1]).all()


def test_normalised_pixels_have_the_packs_mean_and_deviation() -> None:
    images = np.random.default_rng(0).integers(0, 255, (50, 8, 8, 3)).astype(np.uint8)
    mean, std = images.mean((0, 1, 2)) / 255, images.std((0, 1, 2)) / 255
    data = Examples(images, np.arange(50, dtype=np.int32), np.zeros(50, np.int32), 1,
                    mean.astype(np.float32), std.astype(np.float32))  # fmt: skip
    held = Images(data, CPU, 8)
    inputs = held.normalised(held.fetch(np.arange(50)))
    assert torch.allclose(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-3)
    assert torch.allclose(inputs.std((0, 2, 3)), torch.ones(3), atol=1e-2)
    assert Images(data, CPU, 12).normalised(held.fetch(np.arange(4))).shape == (4, 3, 12, 12)


def test_features_follow_the_rows_and_not_the_batch() -> None:
    torch.set_num_threads(1)
    images = np.random.default_rng(0).integers(0, 255, (600, 16, 16, 3)).astype(np.uint8)
    half = np.full(3, 0.5, np.float32)
    rows = np.arange(599, -1, -1, dtype=np.int32)
    backbone = build("small:8", 16, 0)
    ahead = features(backbone, Examples(images, rows[::-1].copy(), rows, 1, half, half), CPU, 16)
    back = features(backbone, Examples(images, rows, rows, 1, half, half), CPU, 16)
    assert ahead.shape == (600, 64)
    assert torch.allclose(ahead, back.flip(0), atol=1e-5)
