"""A backbone's maps: which layers, at which strides, and that they are the network's own."""

from __future__ import annotations

import pytest
import torch

from transferlab.engine.backbone import Backbone
from transferlab.engine.backbones import build, find
from transferlab.errors import UserError
from transferlab.transfer.detect.maps import maps_of

WANTED: dict[str, tuple[int, list[int], list[int], int]] = {  # image side, strides, channels, parts
    "small:8": (16, [4, 8, 16], [16, 32, 64], 4),
    "torchvision:resnet18": (96, [4, 8, 16, 32], [64, 128, 256, 512], 5),
    "torchvision:resnet34": (32, [4, 8], [256, 512], 4),  # with the stem for small images
    "alexnet-caffe": (224, [16], [256], 3),
    "torchvision:vgg11": (64, [4, 8, 16], [256, 512, 512], 5),
    "torchvision:mobilenet_v2": (64, [4, 8, 16, 32], [24, 32, 96, 1280], 5),
    "timm:resnet10t": (64, [4, 8, 16, 32], [64, 128, 256, 512], 5),
}


@pytest.mark.parametrize("name", ["small:8", "torchvision:resnet18", "alexnet-caffe", "torchvision:vgg11"])
def test_strides_and_channels_are_those_of_the_network(name: str) -> None:
    px, strides, channels, n_parts = WANTED[name]
    maps = maps_of(build(name, px, 0), px, name)
    assert (maps.strides, maps.channels, len(maps.parts)) == (strides, channels, n_parts)
    found = maps(torch.zeros(1, 3, 256, 192))
    assert [at.shape[1] for at in found] == channels
    assert [round(192 / at.shape[3]) for at in found] == pytest.approx(strides, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("name", WANTED)
def test_other_peoples_networks_have_maps_too(name: str) -> None:
    px, strides, channels, n_parts = WANTED[name]
    maps = maps_of(build(name, px, 0), px, name)
    assert (maps.strides, maps.channels, len(maps.parts)) == (strides, channels, n_parts)


def test_the_small_networks_maps_are_its_three_scales() -> None:
    backbone = build("small:8", 32, 3).eval()
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = maps_of(backbone, 32, "small:8")
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(maps(image), backbone.trunk.scales(image), strict=True))


def test_alexnets_connected_layers_come_along_with_as_many_cells_as_they_take() -> None:
    backbone = build("alexnet-caffe", 224, 0)
    maps = maps_of(backbone, 224, "alexnet-caffe")
    assert maps.n_cells == 6
    assert maps.connected is backbone.trunk.connected


def test_asking_for_maps_leaves_the_network_in_its_mode_and_its_weights_alone() -> None:
    backbone = build("small:8", 16, 0).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    maps_of(backbone, 16, "small:8")
    assert backbone.trunk.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize(("name", "px"), [("small:8", 16), ("alexnet-caffe", 63)])
def test_families_that_claim_maps_have_them_at_their_smallest_size(name: str, px: int) -> None:
    assert find(name)[0].has_maps
    assert maps_of(build(name, px, 0), px, name).levels


class Skipping(torch.nn.Module):
    """Its layers are not called in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(images) * 2).mean((2, 3))


@pytest.mark.parametrize("name", ["torchvision:vit_b_32", "timm:another"])
def test_a_network_without_maps_in_a_row_is_refused_by_name(name: str) -> None:
    backbone = Backbone(Skipping(), 4) if name == "timm:another" else build(name, 32, 0)
    with pytest.raises(UserError) as told:
        maps_of(backbone, 32, name)
    assert name in str(told.value)
    assert "convolutional" in str(told.value)
