"""K networks as one: their weights stacked into grouped convolutions, one set of launches for all.

The alternative to a captured graph and a stream for each network, which the engine uses; for the built-in network,
trained by SGD. Its data stays in place.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.engine.backbone import Backbone
from transferlab.engine.batches import Place
from transferlab.engine.small import Small, areas
from transferlab.specs import Recipe


class Stacked(nn.Module):
    """K backbones and heads of one shape: [b, K · 3, s, s] to scores [K, b, c]; member k has channels k, in order."""

    def __init__(self, backbones: Sequence[Backbone], heads: Sequence[nn.Linear]) -> None:
        super().__init__()
        trunks = [backbone.trunk for backbone in backbones]
        if not all(isinstance(trunk, Small) for trunk in trunks):
            raise TypeError("only the built-in network has a stacked form here")
        self.trunk: Any = copy.deepcopy(trunks[0])
        for name, layer in trunks[0].named_modules():
            if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
                self.trunk.set_submodule(name, _stacked([trunk.get_submodule(name) for trunk in trunks]))
        self.weight = nn.Parameter(torch.stack([head.weight.detach().T for head in heads]))
        self.bias = nn.Parameter(torch.stack([head.bias.detach()[None] for head in heads]))

    def forward(self, images: Tensor) -> Tensor:
        n_networks = len(self.weight)
        early, middle, late = self.trunk.scales(images)
        scales = [(areas(late, 1), 1), (areas(middle, 2), 4), (areas(early, 2), 4)]
        parts = [part.view(len(images), n, n_networks, -1).transpose(1, 2).flatten(2) for part, n in scales]
        features = torch.cat(parts, 2).transpose(0, 1)
        return torch.baddbmm(self.bias.to(features.dtype), features, self.weight.to(features.dtype))


def _stacked(layers: Sequence[Any]) -> nn.Module:
    first = layers[0]
    if isinstance(first, nn.Conv2d):
        wide: Any = nn.Conv2d(
            first.in_channels * len(layers), first.out_channels * len(layers), first.kernel_size, first.stride,
            first.padding, first.dilation, first.groups * len(layers), bias=first.bias is not None,
        )  # fmt: skip
    else:
        wide = nn.BatchNorm2d(first.num_features * len(layers), first.eps, first.momentum)
    parts = [layer.state_dict() for layer in layers]
    wide.load_state_dict({k: torch.cat([p[k] for p in parts]) if v.ndim else v for k, v in parts[0].items()})
    return wide


class StackedStep:
    """One step of all K networks on data in place; on CUDA a replay of a captured graph."""

    def __init__(self, network: Stacked, recipe: Recipe, place: Place, data: tuple[Tensor, Tensor]) -> None:
        self.network = network.to(place.device, memory_format=torch.channels_last)
        self.recipe, self.place = recipe, place
        self.inputs, self.labels = data  # [b, K · 3, s, s], int64 [K, b]
        decayed = [p for p in network.parameters() if p.ndim >= 2 and p is not network.bias]
        plain = [p for p in network.parameters() if p.ndim < 2 or p is network.bias]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)
        self.losses = torch.full((len(network.weight),), math.nan, device=place.device)
        self.graph: Any = None
        if place.device == "cuda":
            for _ in range(3):
                self._enqueue()
            self.graph = torch.cuda.CUDAGraph()
            self.optimiser.zero_grad(set_to_none=True)
            with torch.cuda.graph(self.graph, stream=torch.cuda.current_stream()):
                self._enqueue()

    def __call__(self) -> None:
        if self.graph is None:
            self._enqueue()
        else:
            self.graph.replay()

    def _enqueue(self) -> None:
        with self.place.autocast():
            scores = self.network(self.inputs).float()
        smoothing = self.recipe.label_smoothing
        each = F.cross_entropy(scores.flatten(0, 1), self.labels.flatten(), reduction="none", label_smoothing=smoothing)
        losses = each.view(self.labels.shape).mean(1)
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        self.optimiser.step()
        self.losses.copy_(losses.detach())
