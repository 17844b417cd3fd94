"""AlexNet against what Caffe's prototxt says of it, layer by layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from transferlab.engine.alexnet import AlexNet, Normalised
from transferlab.engine.backbones import build
from transferlab.engine.drops import Dropout
from transferlab.errors import UserError


@pytest.fixture(scope="module")
def network() -> AlexNet:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return AlexNet(224)


def test_normalisation_is_torchs_own() -> None:
    maps = torch.randn(2, 16, 5, 7, generator=torch.Generator().manual_seed(0)) * 50
    torch.testing.assert_close(Normalised()(maps), F.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=1.0))


def test_at_224_and_227_px_maps_are_caffes_from_the_first_pool_on(network: AlexNet) -> None:
    for px, first in ((224, 54), (227, 55)):
        sides, maps = [], torch.zeros(1, 3, px, px)
        for layer in network.layers:
            maps = layer(maps)
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
                sides.append(maps.shape[-1])
        assert sides == [first, 27, 27, 13, 13, 13, 13, 6]


def test_weights_and_biases_begin_as_in_the_prototxt(network: AlexNet) -> None:
    filters = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    connected = [layer for layer in network.connected if isinstance(layer, nn.Linear)]
    shapes = [(96, 3, 11, 11), (256, 48, 5, 5), (384, 256, 3, 3), (384, 192, 3, 3), (256, 192, 3, 3)]
    assert [tuple(layer.weight.shape) for layer in filters] == shapes
    assert [tuple(layer.weight.shape) for layer in connected] == [(4096, 9216), (4096, 4096)]
    for layers, deviation in ((filters, 0.01), (connected, 0.005)):
        for layer in layers:
            assert layer.weight.detach().std().item() == pytest.approx(deviation, rel=0.02)
    assert [layer.bias.detach().unique().item() for layer in [*filters, *connected]] == pytest.approx(
        [0, 0.1, 0, 0.1, 0.1, 0.1, 0.1]
    )
    assert [layer.p for layer in network.connected if isinstance(layer, Dropout)] == [0.5, 0.5]


def test_normalisation_comes_before_pooling(network: AlexNet) -> None:
    kinds = [type(layer).__name__ for layer in network.layers][:4]
    assert kinds == ["Conv2d", "ReLU", "Normalised", "MaxPool2d"]


@pytest.mark.parametrize(("name", "px"), [("alexnet-caffe", 62), ("alexnet-caffe:2", 224)])
def test_what_it_cannot_be_is_told(name: str, px: int) -> None:
    with pytest.raises(UserError, match="63 px or more"):
        build(name, px, 0)
