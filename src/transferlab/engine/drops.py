"""Dropout that depends on a training's seed and step alone, and replaces the layers of other libraries."""

from __future__ import annotations

import sys
from typing import cast

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """During training, sets entries to zero with probability p and scales the others by 1 / (1 - p).

    torch's own dropout draws from the global generator, so that a resumed training, or one beside others, would differ.
    This one draws from the generator that ``give`` sets, or from torch's if none is set.

    Args:
        p: 0…1, 1 excluded.
        whole: drop all entries of an example together (stochastic depth, Huang et al. 2016).
    """

    def __init__(self, p: float, *, whole: bool = False) -> None:
        super().__init__()
        self.p, self.whole = p, whole
        self.random: torch.Generator | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        drawn = inputs[(slice(None), *[slice(1)] * (inputs.ndim - 1))] if self.whole else inputs
        return inputs * torch.empty_like(drawn).bernoulli_(1 - self.p, generator=self.random).div_(1 - self.p)


def exchange(network: nn.Module) -> None:
    """Replace torch's dropout and torchvision's stochastic depth by ours wherever they drop anything."""
    for name, layer in network.named_children():
        whole = _drops_whole_examples(layer)
        if (type(layer) is nn.Dropout or whole) and layer.p:
            setattr(network, name, Dropout(float(cast("float", layer.p)), whole=whole))
        else:
            exchange(layer)


def _drops_whole_examples(layer: nn.Module) -> bool:
    if "torchvision.ops" not in sys.modules:  # loading it takes seconds; until then no layer is one of its
        return False
    from torchvision.ops import StochasticDepth

    return isinstance(layer, StochasticDepth) and layer.mode == "row"


def give(network: nn.Module, random: torch.Generator | None) -> bool:
    """Make the network's dropout draw from this generator (None: torch's global one); returns whether there is any."""
    found = [layer for layer in network.modules() if isinstance(layer, Dropout)]
    for layer in found:
        layer.random = random
    return bool(found)
