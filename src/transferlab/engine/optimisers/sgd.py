"""``sgd``: stochastic gradient descent with Nesterov momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.engine.optimisers.definition import OptimiserDefinition, groups
from transferlab.specs import Recipe

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def _build(network: nn.Module, recipe: Recipe) -> Optimizer:
    from torch.optim import SGD

    return SGD(groups(network.parameters(), recipe), lr=recipe.lr, momentum=0.9, nesterov=True, fused=True)


sgd = OptimiserDefinition(name="sgd", build=_build)
