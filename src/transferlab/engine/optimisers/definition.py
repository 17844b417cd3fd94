"""What an optimiser must say of itself, and which parameters decay under any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transferlab.definitions import Definition
from transferlab.specs import Recipe

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True, kw_only=True)
class OptimiserDefinition(Definition):
    """A rule that changes weights by their gradients.

    Args:
        build: makes the optimiser of a network, ``nn.Sequential(backbone, head)``, at the recipe's rate and weight decay; the
            recipe's ``precision`` is the device's, never ``auto``.
    """

    build: Callable[[nn.Module, Recipe], Optimizer]


def groups(parameters: Iterable[nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups in which weights decay, and norms and biases do not."""
    found = list(parameters)
    return [
        {"params": [p for p in found if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in found if p.ndim < 2], "weight_decay": 0.0},
    ]
