"""Batches of scenes: padding, normalisation, and boxes that stay on their objects however images are changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from transferlab.engine.backbones import build
from transferlab.errors import UserError
from transferlab.specs import Pack, Recipe
from transferlab.transfer.detect.model import Batch
from transferlab.transfer.detect.scenes import Jitter, Scenes, batch_of, jitter, scenes_of
from transferlab.transfer.problem import Network
from transferlab.transfer.targets import view

MakePack = Callable[..., Pack]


def network_of(pack: Pack) -> Network:
    return Network(build("small:8", 16, 1), Recipe(backbone="small:8", image_px=16), pack.mean, pack.std)


def learnt(pack: Pack) -> Scenes:
    """The training images with their objects."""
    data = view(pack).data
    return scenes_of(data, data.train.rows, network_of(pack), data.train.boxes)


@pytest.fixture
def scenes(make_scenes: MakePack) -> Scenes:
    return learnt(make_scenes())


def test_images_are_padded_to_one_size_and_normalised_by_the_sources_mean(scenes: Scenes) -> None:
    batch = batch_of(scenes, [0, 1, 2], 32, "cpu")
    assert batch.images.shape == (3, 3, 64, 64)
    for i in range(3):
        pixels = scenes.images[scenes.rows[i]]
        height, width = pixels.shape[:2]
        assert batch.sizes[i] == (height, width)
        expected = (pixels / 255 - scenes.mean) / scenes.std
        assert np.allclose(batch.images[i, :, :height, :width].permute(1, 2, 0).numpy(), expected, atol=1e-5)
        assert batch.images[i, :, height:].abs().max() < 0.02  # within half a grey level of the mean
        n = len(scenes.boxes[i])
        assert np.array_equal(batch.boxes[i, :n].numpy(), scenes.boxes[i])
        assert batch.labels[i].tolist() == [*scenes.labels[i], *[0] * (batch.labels.shape[1] - n)]


def colour_inside(batch: Batch, i: int, at: int) -> np.ndarray:
    """The mean colour of the inner part of a box."""
    x0, y0, x1, y1 = batch.boxes[i, at].round().int().tolist()
    return batch.images[i, :, y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].mean((1, 2)).numpy()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("factor", [0.75, 1.0, 1.3])
@pytest.mark.parametrize("place", [0.0, 0.4, 1.0])
def test_boxes_follow_their_objects(scenes: Scenes, mirrored: bool, factor: float, place: float) -> None:
    plain = batch_of(scenes, range(6), 32, "cpu")
    how = Jitter(np.full(6, factor), np.full(6, mirrored), np.full((6, 2), place))
    changed = batch_of(scenes, range(6), 32, "cpu", how)
    assert changed.images.shape == plain.images.shape
    high, wide = plain.images.shape[2:]
    compared = 0
    for i in range(6):
        assert changed.sizes[i] == (high, wide)
        height, width = scenes.images.sizes[scenes.rows[i]]
        for at, box in enumerate(scenes.boxes[i]):
            x0, y0, x1, y1 = box * factor
            if mirrored:
                x0, x1 = width * factor - x1, width * factor - x0
            across, down = place * (width * factor - wide), place * (height * factor - high)
            expected = np.array([x0 - across, y0 - down, x1 - across, y1 - down])
            middle = (expected[:2] + expected[2:]) / 2
            kept = bool(((middle >= 0) & (middle <= [wide, high])).all())
            assert bool(changed.labels[i, at]) == kept
            assert np.allclose(changed.boxes[i, at].numpy(), np.clip(expected, 0, [wide, high, wide, high]), atol=1e-3)
            if kept and (expected[:2] >= 0).all() and (expected[2:] <= [wide, high]).all():
                assert np.allclose(colour_inside(plain, i, at), colour_inside(changed, i, at), atol=0.15)
                compared += 1
    assert compared >= 4


def test_an_image_that_is_neither_scaled_nor_moved_is_unchanged(scenes: Scenes) -> None:
    plain = batch_of(scenes, range(4), 32, "cpu")
    same = batch_of(scenes, range(4), 32, "cpu", Jitter(np.ones(4), np.zeros(4, bool), np.zeros((4, 2))))
    assert torch.allclose(plain.images, same.images, atol=1e-4)
    assert torch.equal(plain.boxes, same.boxes)
    assert torch.equal(plain.labels, same.labels)


def test_what_a_step_does_follows_from_seed_and_step_alone() -> None:
    first, again, other = jitter(0.75, 8, 3, 5), jitter(0.75, 8, 3, 5), jitter(0.75, 8, 3, 6)
    assert np.array_equal(first.factors, again.factors)
    assert np.array_equal(first.mirrored, again.mirrored)
    assert not np.array_equal(first.factors, other.factors)
    many = jitter(0.75, 4000, 0, 0)
    assert 0.75 <= many.factors.min() < 0.76
    assert 1.32 < many.factors.max() <= 1 / 0.75
    assert abs(many.mirrored.mean() - 0.5) < 0.04
    assert (np.abs(many.places.mean(0) - 0.5) < 0.04).all()
    assert many.places.min() >= 0
    assert many.places.max() <= 1


def test_ignored_and_tiny_objects_are_not_learnt(make_scenes: MakePack) -> None:
    pack = make_scenes()
    assert pack.boxes is not None
    ignored, boxes = pack.boxes.ignored.copy(), pack.boxes.boxes.copy()
    ignored[0] = True
    boxes[1, 2] = boxes[1, 0] + 0.5
    changed = replace(pack, boxes=replace(pack.boxes, ignored=ignored, boxes=boxes))
    n = [sum(map(len, learnt(p).labels)) for p in (pack, changed)]
    assert n[1] == n[0] - 2


def test_test_scenes_carry_no_boxes(make_scenes: MakePack) -> None:
    pack = make_scenes()
    assert not any(map(len, scenes_of(view(pack).data, pack.rows(2), network_of(pack), None).labels))


def test_a_pack_without_boxes_is_refused(make_pack: MakePack) -> None:
    pack = make_pack()
    with pytest.raises(UserError, match="boxes"):
        learnt(pack)
