"""``muon``: Muon for the backbone's filters and matrices, SGD with Nesterov momentum for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transferlab.engine.optimisers.definition import OptimiserDefinition, groups
from transferlab.specs import Recipe

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def _build(network: nn.Module, recipe: Recipe) -> Optimizer:
    """Filters are scaled to a fixed norm before every step, so they do not decay."""
    import torch

    from transferlab.engine.muon import Muon

    filters = [p for name, p in network.named_parameters() if name.startswith("0.") and p.ndim in (2, 4)]
    orthogonal = {id(p) for p in filters}
    rest = [p for p in network.parameters() if id(p) not in orthogonal]
    return Muon(
        filters, groups(rest, recipe), recipe.lr, torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    )


muon = OptimiserDefinition(name="muon", build=_build)
