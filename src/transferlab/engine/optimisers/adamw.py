"""``adamw``: Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.engine.optimisers.definition import OptimiserDefinition, groups
from transferlab.specs import Recipe

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def _build(network: nn.Module, recipe: Recipe) -> Optimizer:
    from torch.optim import AdamW

    return AdamW(groups(network.parameters(), recipe), lr=recipe.lr, fused=True)


adamw = OptimiserDefinition(name="adamw", build=_build)
