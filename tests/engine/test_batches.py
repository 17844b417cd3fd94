"""Index streams and augmentation: whole epochs, functions of the step alone, pixels that only move."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import resized_crop

from transferlab.engine.backbones import build
from transferlab.engine.batches import (
    Chance,
    Examples,
    Images,
    Order,
    Place,
    cropped,
    features,
    recoloured,
    windows,
    zoomed,
)
from transferlab.specs import Augmentation

CPU = Place("cpu", "fp32")


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 50), st.integers(1, 40), st.integers(0, 5))
def test_every_epoch_sees_every_example_once(n: int, batch: int, seed: int) -> None:
    order = Order(n, seed)
    steps = -(-2 * n // batch)
    seen = np.concatenate([order.positions(step * batch, (step + 1) * batch) for step in range(steps)])[: 2 * n]
    assert sorted(seen[:n]) == list(range(n))
    assert sorted(seen[n:]) == list(range(n))


def test_a_step_does_not_depend_on_the_steps_before() -> None:
    order, rule = Order(30, 1), Augmentation(2, True, 4, 0.2, 0.3)
    late, chance = order.positions(17 * 8, 18 * 8), Chance(rule, 8, 16, 1).steps(40, 42)
    for step in range(17):
        order.positions(step * 8, (step + 1) * 8)
    assert (Order(30, 1).positions(17 * 8, 18 * 8) == late).all()
    assert (order.positions(17 * 8, 18 * 8) == late).all()
    other = Chance(rule, 8, 16, 1)
    one_by_one = [other.steps(step, step + 1) for step in (3, 40, 41)][1:]
    for name, numbers in chance.items():
        assert (np.concatenate([drawn[name] for drawn in one_by_one], 1) == numbers).all(), name


def chance_of(rule: Augmentation, batch: int, px: int) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(numbers) for name, numbers in Chance(rule, batch, px, 1).steps(0, 1).items()}


def test_a_crop_is_a_window_of_the_reflected_image_or_its_mirror() -> None:
    random, rule = np.random.default_rng(0), Augmentation(crop_px=3, flip=True)
    images = torch.from_numpy(random.integers(0, 255, (9, 10, 10, 3)).astype(np.uint8))
    rows = torch.tensor([3, 8, 0, 0, 5, 1])
    out = cropped(images, rows, chance_of(rule, 6, 10)["window"], windows(rule, 10))
    padded = F.pad(images[rows].permute(0, 3, 1, 2).float(), (3, 3, 3, 3), mode="reflect").to(torch.uint8)
    for image, wide in zip(out.permute(0, 3, 1, 2), padded, strict=True):
        found = [wide[:, y : y + 10, x : x + 10] for y in range(7) for x in range(7)]
        assert any(torch.equal(image, w) or torch.equal(image, w.flip(-1)) for w in found)


def test_crops_and_mirrors_are_spread_evenly() -> None:
    rule = Augmentation(crop_px=2, flip=True)
    y, x = Chance(rule, 1000, 8, 0).steps(0, 32)["window"]
    assert set(y) == set(range(5))
    assert set(x) == set(range(5, 15))
    assert abs((x >= 10).mean() - 0.5) < 0.02
    assert (Chance(Augmentation(2, False), 1000, 8, 0).steps(0, 32)["window"][1] < 10).all()


def test_without_crop_and_flip_nothing_is_drawn() -> None:
    assert Chance(Augmentation(crop_px=0, flip=False), 4, 8, 0).steps(0, 1) == {}


def test_a_part_of_an_image_is_brought_to_the_size_of_the_whole_as_torchvision_does() -> None:
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    across, down = torch.arange(8.0) / 8, torch.arange(8.0).flip(0) / 8
    quarter = torch.stack([torch.full((8,), 0.25), torch.full((8,), 0.5), across, down])
    found = zoomed(images, 0.0, quarter)
    for i in range(8):
        theirs = resized_crop(images[i], 7 - i, i, 8, 8, [16, 16], antialias=False)
        torch.testing.assert_close(found[i, :, 1:-1, 1:-1], theirs[:, 1:-1, 1:-1])  # borders see what lies beyond, here
    torch.testing.assert_close(zoomed(images, 1.0, torch.full((4, 8), 0.5)), images)


def test_parts_keep_their_least_share_and_lie_inside() -> None:
    rule = Augmentation(crop_px=0, flip=False, scale=0.2)
    place = torch.linspace(0, 1, 16).expand(3, 16, 16)
    drawn = chance_of(rule, 500, 16)
    found = zoomed(torch.stack([place, place.mT, place]).mean(1)[None].expand(500, 3, 16, 16), 0.2, drawn["zoom"])
    spans = [
        (found[:, 0].amax((1, 2)) - found[:, 0].amin((1, 2))),
        (found[:, 1].amax((1, 2)) - found[:, 1].amin((1, 2))),
    ]
    assert (spans[0] * spans[1]).min() > 0.15
    assert found.min() >= 0
    assert found.max() <= 1


def test_numbers_for_other_augmentations_are_drawn_as_before() -> None:
    before = Chance(Augmentation(2, True, 4, 0.2), 8, 16, 1).steps(3, 5)
    now = Chance(Augmentation(2, True, 4, 0.2, 0.5), 8, 16, 1).steps(3, 5)
    assert set(now) - set(before) == {"zoom"}
    assert all((now[name] == before[name]).all() for name in before)


def test_cutout_blanks_a_square_of_at_most_its_side() -> None:
    rule = Augmentation(crop_px=0, flip=False, cutout_px=6)
    out = recoloured(torch.ones(20, 3, 16, 16), rule, chance_of(rule, 20, 16))
    holes = (out == 0).sum((1, 2, 3)) / 3
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
    assert ahead.shape == (600, 256)
    assert torch.allclose(ahead, back.flip(0), atol=1e-5)
