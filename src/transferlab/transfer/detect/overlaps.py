"""How far boxes overlap, differentiable and for whole batches."""

from __future__ import annotations

import torch
from torch import Tensor


def overlap(first: Tensor, second: Tensor, *, generalised: bool = False) -> Tensor:
    """The overlap (IoU) of boxes [..., 4] pair by pair, [...]; or the generalised one (Rezatofighi et al. 2019), -1…1."""
    shared = _area(torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:]))
    either = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:]) - shared
    found = shared / either.clamp(min=1e-6)
    if not generalised:
        return found
    hull = _area(torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:]))
    return found - (hull - either) / hull.clamp(min=1e-6)


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)
