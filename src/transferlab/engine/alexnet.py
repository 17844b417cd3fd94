"""AlexNet as Caffe has it (``models/bvlc_alexnet`` of BVLC/caffe), without its last layer.

It normalises before it pools; the second, fourth and fifth convolutions have two groups. Initial weights are Gaussian with
standard deviation 0.01 (fully connected layers: 0.005). Biases start at 0.1 in the second, fourth and fifth convolutions and
in both fully connected layers, and at 0 elsewhere. Dropout of one half follows each fully connected layer.

Caffe's other version, ``models/bvlc_reference_caffenet``, pools before it normalises and starts with biases of 1; its
authors report 57.4 % top-1, against 57.1 % for this one. With biases of 1, most features were dead after 100 steps here (96 %
on 200 classes at 64 px, batch 64, rate 0.01; with 0.1, 1 % on 10 classes; one seed), and conditions with few labels must
train too. Huh et al. name AlexNet in Caffe; which version they used, and which layer they transferred, is not known.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.engine.drops import Dropout

# Caffe's inputs are pixels from 0 to 255 minus their mean; ours have standard deviation 1. This is the standard deviation of
# ImageNet's pixels on Caffe's scale, averaged over channels. Without it, the first layer's initial weights, learning rate and
# decay would not mean the same as in Caffe.
PIXEL_DEVIATION = 57.6
N_FEATURES = 4096


class AlexNet(nn.Module):
    """Five convolutions and two fully connected layers; the features are the rectified outputs of the second, fc7.

    Caffe crops to 227 px. At 224 px the first convolution gives 54 × 54 instead of 55 × 55, and Caffe's pooling, which
    rounds up, reduces both to 27 × 27; all later shapes are equal, so nothing is padded. At other sizes, fc6 has as many
    inputs as the last map leaves it, and the network differs from Caffe's.

    Args:
        image_px: side of its input in pixels, at least 63.
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

    It sums shifted slices: torch's own version calls ``avg_pool3d``, whose gradient is not deterministic on CUDA.
    """

    def forward(self, maps: Tensor) -> Tensor:
        n = maps.shape[1]
        squares = F.pad(maps.float().square(), (0, 0, 0, 0, 2, 2))
        total = squares[:, :n]
        for shift in range(1, 5):
            total = total + squares[:, shift : shift + n]
        return maps * (1 + total * (1e-4 / 5)).pow(-0.75).to(maps.dtype)


def _filters(n_in: int, n_out: int, size: int, bias: float, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution, padded to keep the maps' size at stride 1; the first layer, of stride 4, is not padded."""
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
