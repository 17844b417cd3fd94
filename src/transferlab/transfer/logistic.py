"""Logistic regression on features by a preconditioned L-BFGS, with a hand-written gradient.

Nearly all of the work is two matrix products per evaluation. It needs few and cheap evaluations because of

- preconditioned coordinates, in which the loss is about equally curved in all directions (see ``Metric``): 25 evaluations
  to an excess of 1e-4 of the objective instead of hundreds;
- early iterations in bf16, if requested, before the last ones in fp32;
- a stopping rule in the units of the objective, so that penalties are chosen roughly and the last fit is exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from transferlab.engine.fit import loss_of

MEMORY = 10  # pairs kept by the L-BFGS
MAX_EVALUATIONS = 400
HANDOVER = 2e-6  # expected gain, relative to the objective, at which bf16 ends; its rounding error is about 1e-6
LEAST = 0.3  # chosen on validation images, see LOG.md
LOOK = 4  # steps until a fit is first looked at; the number doubles each time


class End(NamedTuple):
    """The stopping rule: the next step is expected to gain less than ``share`` of the objective, or less than ``gain``.

    The excess is then 2 to 8 times that; more if classes are separable and the objective approaches 0.
    """

    share: float
    gain: float = 0.0


class Search(NamedTuple):
    """A line search: its most halvings, and the relative rounding error of the objective that it accepts."""

    halvings: int
    noise: float


EXACT, ROUGH = Search(12, 1e-5), Search(3, 1e-3)


@dataclass(frozen=True, eq=False)
class Rows:
    """Labelled rows to fit.

    Args:
        features: float32 [m, d], approximately centred.
        labels: int64 [m] in 0…n_classes-1, or int8 [m, n_classes] of 1, 0, -1 (not scored).
        rough: the features in bf16 for early iterations; None for fp32 only.
        alive: called after every pass over the rows.
    """

    features: Tensor
    labels: Tensor
    n_classes: int
    rough: Tensor | None = None
    alive: Callable[[], None] = lambda: None


class Metric(NamedTuple):
    """The curvature of the loss at equal probabilities, without the penalty: the features' covariance / classes.

    One metric serves all fits on similar rows. With M = covariance / classes + penalty · I and M^-1 = T Tᵀ, the Hessian in
    the coordinates U of W = T U is near the identity.
    """

    covariance: Tensor  # float64 [d, d]
    n_classes: int

    def transform(self, penalty: float) -> Tensor:
        """T, float32 [d, d], from a Cholesky factor in float64.

        If features outnumber rows, the smallest eigenvalues of a covariance in float32 may fall below -penalty; the
        metric's ridge then grows until the factor exists. The objective stays the same.

        Raises:
            RuntimeError: the features are not finite.
        """
        covariance, eye = self.covariance / self.n_classes, torch.eye(len(self.covariance), dtype=torch.float64)
        eye = eye.to(covariance.device)
        for power in range(9):
            factor, failed = cast(
                "tuple[Tensor, Tensor]", torch.linalg.cholesky_ex(covariance + 10**power * penalty * eye)
            )
            if not failed:
                inverse = cast(Tensor, torch.linalg.solve_triangular(factor, eye, upper=False))
                return inverse.T.float().contiguous()
        raise RuntimeError("the features are not finite")


def floored(spread: Tensor) -> Tensor:
    """Standard deviations to divide features by, [d], none below LEAST of the median of those that are not nearly 0.

    A feature that is 0 but for a few training images would else be hundreds of deviations away in a few test images, and
    one of these would decide the mean likelihood.
    """
    alive = spread[spread > 1e-6 * spread.max()]
    return spread.clamp(min=LEAST * float(alive.quantile(0.5)) if len(alive) else 1.0)


def metric_of(features: Tensor, n_classes: int) -> Metric:
    """The metric of approximately centred features float32 [m, d]."""
    if features.device.type == "cpu":
        # Numpy uses the symmetry of the product: 0.14 s instead of 0.30 (15,000 x 1,024, 1 thread).
        product = torch.from_numpy(features.numpy().T @ features.numpy())
    else:
        product = features.T @ features
    return Metric(product.double() / len(features), n_classes)


def logistic(rows: Rows, penalty: float, metric: Metric, end: End, start: Tensor | None = None) -> Tensor:
    """Weights [d + 1, c] (the last row is the bias, not penalised) that minimise mean loss + penalty · |W|² / 2.

    The loss is the cross-entropy of one label a row, or the mean over scored entries of the binary one.

    Args:
        penalty: per example, > 0.
        start: initial weights.
    """
    return deque(descent(rows, penalty, metric, end, start), maxlen=1)[0]


def descent(rows: Rows, penalty: float, metric: Metric, end: End, start: Tensor | None = None) -> Iterator[Tensor]:
    """The weights of ``logistic`` on the way, after LOOK steps, twice as many and so on, and at the end."""
    shape = (rows.features.shape[1] + 1, rows.n_classes)
    weights = torch.zeros(shape, device=rows.features.device) if start is None else start
    turn, stretch = metric.transform(penalty), rows.n_classes**0.5
    if rows.rough is not None:
        # Any fixed T is valid, and products in bf16 are cheaper: a probe with 156 classes and 2,496 x 1,024 features takes
        # 2.5 s instead of 3.7 (1 thread).
        turn = turn.bfloat16().float()

    def weights_at(point: Tensor, turn: Tensor) -> Tensor:
        return torch.cat([(turn @ point[:-1].to(turn.dtype)).float(), point[-1:] * stretch])

    def objective(features: Tensor) -> Callable[[Tensor], tuple[float, Tensor]]:
        turned = turn.to(features.dtype)

        def evaluate(point: Tensor) -> tuple[float, Tensor]:
            now = weights_at(point, turned)
            loss, slope = loss_and_gradient(features, rows.labels, now)
            rows.alive()
            penalised = now[:-1]
            slope[:-1] += penalty * penalised
            value = loss + 0.5 * penalty * float(penalised.square().sum())
            # Transposed it takes 1 ms instead of 4 (1,024 features, 10 classes, 1 thread).
            inner = (slope[:-1].T.to(turned.dtype) @ turned).T.float()
            return value, torch.cat([inner, slope[-1:] * stretch])

        return evaluate

    def points() -> Iterator[Tensor]:
        whole = cast(Tensor, torch.linalg.solve_triangular(turn, weights[:-1], upper=True))
        point, memory, arrived = torch.cat([whole, weights[-1:] / stretch]), _Memory([]), False
        if rows.rough is not None:
            rough_end = End(max(end.share, HANDOVER), end.gain)
            point, arrived = yield from _descend(objective(rows.rough), point, memory, rough_end, ROUGH)
        if not arrived or end.share <= HANDOVER:
            point, _ = yield from _descend(objective(rows.features), point, memory, end, EXACT)
        yield point

    return (weights_at(point, turn) for point in points())


def scores_of(features: Tensor, weights: Tensor) -> Tensor:
    """Scores float32 [m, c] of features [m, d] under weights [d + 1, c]."""
    return torch.addmm(weights[-1], features, weights[:-1])


def loss_and_gradient(features: Tensor, labels: Tensor, weights: Tensor) -> tuple[float, Tensor]:
    """The loss of ``logistic`` and its gradient [d + 1, c] without a graph; matrix products in the features' precision."""
    scores = (features @ weights[:-1].to(features.dtype)).float() + weights[-1]
    if labels.ndim == 1:
        slope, at = scores.softmax(1), labels[:, None]
        loss, n = -float(slope.gather(1, at).clamp(min=1e-38).log().mean()), len(labels)
        slope.scatter_add_(1, at, scores.new_full((n, 1), -1.0))
    else:
        scored = labels >= 0
        loss, n = float(loss_of(scores, labels, 0.0)), int(scored.sum().clamp(min=1))
        slope = (scores.sigmoid() - labels.clamp(min=0)) * scored
    # The transposed product avoids copying features: 1.8 ms instead of 2.4 in bf16 (12,000 x 256, 100 classes, 1 thread).
    products = (slope.T.to(features.dtype) @ features).T.float()
    return loss, torch.cat([products, slope.sum(0, keepdim=True)]) / n


class _Memory(list[tuple[Tensor, Tensor, float]]):
    """The latest steps, changes of the gradient, and inverses of their products, from which L-BFGS models curvature."""

    def keep(self, step: Tensor, change: Tensor) -> None:
        product = float((step * change).sum())
        if product > 1e-10 * float(change.square().sum()):
            self.append((step, change, 1 / product))
            del self[:-MEMORY]

    def direction(self, gradient: Tensor) -> Tensor:
        """The approximate inverse Hessian times the gradient (Nocedal and Wright, algorithm 7.4)."""
        found, shares = gradient.clone(), list[float]()
        for step, change, inverse in reversed(self):
            shares.append(inverse * float((step * found).sum()))
            found -= shares[-1] * change
        if self:
            _, change, inverse = self[-1]
            found /= inverse * float(change.square().sum())
        for (step, change, inverse), share in zip(self, reversed(shares), strict=True):
            found += (share - inverse * float((change * found).sum())) * step
        return found


def _descend(
    evaluate: Callable[[Tensor], tuple[float, Tensor]], point: Tensor, memory: _Memory, end: End, search: Search
) -> Generator[Tensor, None, tuple[Tensor, bool]]:  # fmt: skip
    """Minimise a convex function; yields points on the way, and returns the last one and whether ``end`` was reached.

    Otherwise MAX_EVALUATIONS were made, or rounding hides any further descent. Steps satisfy the approximate Wolfe
    conditions of Hager and Zhang (2005), which use slopes because rounding affects them less than the objective.
    """
    value, gradient = evaluate(point)
    left, steps, look = MAX_EVALUATIONS, 0, LOOK
    while left > 0:
        direction = memory.direction(gradient)
        slope = float((direction * gradient).sum())
        if slope <= 2 * max(end.share * value, end.gain):
            return point, True
        size = 1.0
        for _ in range(search.halvings):
            there = point - size * direction
            new_value, new_gradient = evaluate(there)
            left -= 1
            if new_value <= value * (1 + search.noise) and -float((direction * new_gradient).sum()) <= 0.8 * slope:
                break
            size /= 2
        else:
            break
        memory.keep(there - point, new_gradient - gradient)
        point, value, gradient, steps = there, new_value, new_gradient, steps + 1
        if steps == look:
            yield point
            look *= 2
    return point, False
