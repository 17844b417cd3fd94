"""Laws over every family of backbones, and what a wrong name is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from transferlab.engine.backbones import BACKBONES, BackboneDefinition, build, find
from transferlab.engine.drops import Dropout
from transferlab.engine.small import areas
from transferlab.errors import UserError

NAMES = ["small", "small:16", "alexnet-caffe", "timm:resnet10t", "timm:vit_tiny_patch16_224", "torchvision:resnet18",
         "torchvision:squeezenet1_1"]  # fmt: skip


def test_every_family_has_an_example_here() -> None:
    assert {name.partition(":")[0] for name in NAMES} == set(BACKBONES)


@pytest.mark.parametrize("name", NAMES)
def test_a_backbone_maps_images_to_vectors_and_its_seed_fixes_its_bits(name: str) -> None:
    torch.set_num_threads(1)
    size = 64 if name == "alexnet-caffe" else 32
    first, again, other = build(name, size, 1), build(name, size, 1), build(name, size, 2)
    assert first(torch.randn(2, 3, size, size)).shape == (2, first.n_features)
    pairs = list(zip(first.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


@pytest.mark.parametrize("name", ["smal", "small:x", "small:1", "timm:resnet18x", "torchvision:nothing", "timm:"])
def test_a_wrong_name_is_the_users_mistake(name: str) -> None:
    with pytest.raises(UserError):
        build(name, 32, 0)


@pytest.mark.parametrize("width", [16, 32, 96])
def test_weights_take_about_as_many_bytes_as_the_definition_says(width: int) -> None:
    definition, detail = find(f"small:{width}")
    n_bytes = 4 * sum(weights.numel() for weights in build(f"small:{width}", 32, 0).parameters())
    assert definition.weight_bytes(detail, 32) == pytest.approx(n_bytes, rel=0.1)


def test_a_family_from_outside_is_measured_and_its_dropout_exchanged(bring: Callable[..., None]) -> None:
    def trunk(detail: str, image_px: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, int(detail), 4, 4), nn.Flatten(), nn.Dropout(0.5))

    brought = BackboneDefinition(name="brought", build=trunk)
    bring(BACKBONES, brought)
    backbone = build(brought(8), 16, 0)
    assert (brought(), brought(8), backbone.n_features) == ("brought", "brought:8", 8 * 4 * 4)
    assert [type(layer) for layer in backbone.trunk.children()] == [nn.Conv2d, nn.Flatten, Dropout]


def test_a_network_that_does_not_fit_the_images_says_so() -> None:
    with pytest.raises(UserError, match="--size"):
        build("torchvision:alexnet", 16, 0)


@pytest.mark.parametrize(("side", "n"), [(8, 2), (5, 2), (3, 1), (2, 2), (7, 3)])
def test_means_over_areas_are_torchs_adaptive_ones(side: int, n: int) -> None:
    maps = torch.randn(3, 4, side, side, generator=torch.Generator().manual_seed(0))
    theirs = torch.nn.functional.adaptive_avg_pool2d(maps, n)
    torch.testing.assert_close(areas(maps, n).view(3, n, n, 4).permute(0, 3, 1, 2), theirs)


def test_areas_seen_first_without_gradients_can_be_trained_through() -> None:
    with torch.inference_mode():
        areas(torch.zeros(1, 2, 6, 6), 3)
    maps = torch.zeros(1, 2, 6, 6, requires_grad=True)
    areas(maps, 3).sum().backward()
    torch.testing.assert_close(maps.grad, torch.full((1, 2, 6, 6), 0.25))


@pytest.mark.parametrize("size", [16, 24, 40, 48, 64])
def test_the_small_network_has_as_many_features_at_every_size(size: int) -> None:
    assert build("small:8", size, 0)(torch.zeros(2, 3, size, size)).shape == (2, 256)
