"""Muon: filters follow orthogonalised momentum and keep a fixed norm; all other parameters follow SGD.

After K. Jordan's Muon and airbench94 (https://kellerjordan.github.io/posts/muon): Newton-Schulz iterations
instead of a singular value decomposition, in bf16 where the device computes in it, and filters rescaled to a fixed norm before every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)  # steepest at zero among those that keep singular values near 1
N_ITERATIONS = 3


class Muon(torch.optim.Optimizer):
    """Muon for filters, SGD with Nesterov momentum for the rest; on CUDA every operation only enqueues work.

    Args:
        filters: parameters of two or more dimensions, each treated as a matrix with one row per output.
        rest: groups of the other parameters, with their ``weight_decay``.
        lr: learning rate of the rest, a number or a float32 [] on the device; filters have a third of it.
        dtype: what the iterations compute in; bfloat16 where processors lack it took 13 times as long as float32.
    """

    FILTERS_SHARE = 1 / 3

    def __init__(
        self, filters: Iterable[Tensor], rest: Iterable[dict[str, Any]], lr: float, dtype: torch.dtype = torch.float32
    ) -> None:
        of_filters = {"params": list(filters), "orthogonal": True, "momentum": 0.6}
        groups = [of_filters, *({**group, "orthogonal": False, "momentum": 0.9} for group in rest)]
        super().__init__([group for group in groups if group["params"]], {"lr": lr, "weight_decay": 0.0})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the current gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: Tensor, slope: Tensor, group: dict[str, Any]) -> None:
        if group["weight_decay"]:
            slope = slope.add(parameter, alpha=group["weight_decay"])
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum_buffer"].mul_(group["momentum"]).add_(slope)
        ahead = slope.add(momentum, alpha=group["momentum"])  # Nesterov
        if group["orthogonal"]:
            ahead = self.FILTERS_SHARE * orthogonal(ahead.flatten(1), self.dtype).view_as(ahead)
            parameter.mul_(len(parameter) ** 0.5 / cast(Tensor, torch.linalg.vector_norm(parameter)))
        parameter.sub_(ahead * group["lr"])


def orthogonal(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """The matrix with the same singular vectors and singular values of about 1 (0.5 to 1.4), float32 [rows, columns]."""
    a, b, c = QUINTIC
    wide = len(matrix) <= matrix.shape[1]
    rows = matrix if wide else matrix.T
    size = cast(Tensor, torch.linalg.vector_norm(rows))
    x = (rows / (size + 1e-7)).to(dtype)
    for _ in range(N_ITERATIONS):
        square = x @ x.T
        mixed = torch.addmm(square, square, square, beta=b, alpha=c)
        x = torch.addmm(x, mixed, x, beta=a)
    return (x if wide else x.T).float()
