"""AlexNet as Caffe has it (``models/bvlc_alexnet`` of BVLC/caffe), without its last layer.

Normalisation before pooling, two groups in the second, fourth and fifth convolution, Gaussian weights of deviation 0.01
(fully connected 0.005), biases of 0.1 in the second, fourth and fifth convolution and in both fully connected layers,
else 0, dropout of one half after each of these. Caffe's other one, ``models/bvlc_reference_caffenet``, pools before it
normalises and begins with biases of 1; its authors report 57.4 % top-1, those of this one 57.1. With biases of 1 most
features were dead after 100 steps here (64 px, batch 64, rate 0.01: 96 % on 200 classes; with 0.1 1 % on 10 classes; one
seed), and conditions of few labels must train too. Huh et al. say AlexNet in Caffe; which of the two, and which layer
they transferred, is not known.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.engine.drops import Dropout

# Caffe's inputs are pixels of 0 to 255 less their mean, ours have deviation 1: this is ImageNet's in such pixels, the
# mean of its channels. Without it the first layer's weights, rates and decay would be those of another network.
PIXEL_DEVIATION = 57.6
N_FEATURES = 4096


class AlexNet(nn.Module):
    """Five convolutions and two fully connected layers; features are the rectified outputs of the second, fc7.

    Caffe crops 227 px. At 224 the first convolution gives 54 × 54 in place of 55 × 55, and Caffe's pooling, which
    rounds up, makes 27 × 27 of both: from there on all shapes are equal, so nothing is padded. At other sizes from 63 px
    on fc6 takes what is left of the image, and the network is not Caffe's.

    Args:
        image_px: side of its input, at least 63.
    """

    def __init__(self, image_px: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _filters(3, 96, 11, 0.0, stride=4), nn.ReLU(), Normalised(), _pool(),
            _filters(96, 256, 5, 0.1, groups=2), nn.ReLU(), Normalised(), _pool(),
            _filters(256, 384, 3, 0.0), nn.ReLU(),
            _filters(384, 384, 3, 0.1, groups=2), nn.ReLU(),
            _filters(384, 256, 3, 0.1, groups=2), nn.ReLU(), _pool(), nn.Flatten(),
        )  # fmt: skip
        with torch.no_grad():
            n_left = self.layers(torch.zeros(1, 3, image_px, image_px)).shape[1]
        self.connected = nn.Sequential(
            _connected(n_left), nn.ReLU(), Dropout(0.5), _connected(N_FEATURES), nn.ReLU(), Dropout(0.5)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.connected(self.layers(images * PIXEL_DEVIATION))


class Scaled(nn.Module):
    """Its input times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor


def split(trunk: nn.Module) -> tuple[list[nn.Module], nn.Module]:
    """The layers up to the last feature map, and the fully connected layers after it (fc6 and fc7)."""
    assert isinstance(trunk, AlexNet)
    return [Scaled(PIXEL_DEVIATION), *trunk.layers], trunk.connected


class Normalised(nn.Module):
    """Local response normalisation over five channels: x / (1 + 1e-4 · mean of their squares)^0.75.

    As sums of shifted slices: torch's own goes through ``avg_pool3d``, whose gradient on CUDA is not deterministic.
    """

    def forward(self, maps: Tensor) -> Tensor:
        n = maps.shape[1]
        squares = F.pad(maps.float().square(), (0, 0, 0, 0, 2, 2))
        total = squares[:, :n]
        for shift in range(1, 5):
            total = total + squares[:, shift : shift + n]
        return maps * (1 + total * (1e-4 / 5)).pow(-0.75).to(maps.dtype)


def _filters(n_in: int, n_out: int, size: int, bias: float, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Padded so that a stride of 1 keeps the maps' size; the first layer, of stride 4, is not padded."""
    layer = nn.Conv2d(n_in, n_out, size, stride, padding=size // 2 if stride == 1 else 0, groups=groups)
    _begin(layer, 0.01, bias)
    return layer


def _connected(n_in: int) -> nn.Linear:
    layer = nn.Linear(n_in, N_FEATURES)
    _begin(layer, 0.005, 0.1)
    return layer


def _begin(layer: nn.Conv2d | nn.Linear, deviation: float, bias: float) -> None:
    nn.init.normal_(layer.weight, 0.0, deviation)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)
