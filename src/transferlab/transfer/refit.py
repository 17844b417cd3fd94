"""A new last layer for all classes of the source on frozen features: the paper's column for ImageNet itself.

It measures networks trained on some of the classes, or on merged classes, by all of the source's own classes. If the
features fit in memory it is the probe. Otherwise the same objective is minimised in passes over the images, with features
computed when needed, so that memory depends on the batch and the number of features, not of images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.engine.batches import Order
from transferlab.identity import torch_seed
from transferlab.transfer import probe
from transferlab.transfer.logistic import Metric, floored, loss_and_gradient, scores_of
from transferlab.transfer.problem import Prediction, Problem, Split

BATCH = 2048
# Steps to choose the penalty, for all penalties at once; half as many follow with the chosen one: 12 million images in all.
# On 12,000 random rows x 256 with 40 classes, 2,000 steps of 512 end above the optimum by 0.01, 0.02, 0.7 and 20 % at
# penalties of 1e-2, 1e-3, 1e-4, 1e-5 (optima 0.390, 0.080, 0.014 and 0.002 nats; 2026-11-27).
STEPS = 4000


def fit_predict(problem: Problem) -> Prediction:
    """Multinomial logistic regression with a penalty chosen on validation; the probe if the features fit in memory.

    Otherwise: standardise by the training features; for all penalties, take steps on the same batches, preconditioned by the
    probe's metric, at a rate that falls to 0; choose by validation accuracy, then loss; continue with the chosen penalty on
    training and validation images.
    """
    if problem.holds("train"):
        return probe.fit_predict(problem)
    scale = _scale(problem)
    validates = bool(len(problem.rows("val")))
    penalties = sorted(probe.PENALTIES, reverse=True) if validates else [probe.MIDDLE]
    weights = _descended(problem, scale, dict.fromkeys(penalties), ("train",))
    penalty = probe.MIDDLE
    if validates:
        labels = problem.val_labels
        penalty = max(penalties, key=lambda p: probe.goodness_of(_scores(problem, scale, weights[p], "val"), labels))
        weights = _descended(problem, scale, {penalty: weights[penalty]}, ("train", "val"))
    return Prediction(F.log_softmax(_scores(problem, scale, weights[penalty], "test"), 1), {"penalty": penalty})


class Scale(NamedTuple):
    """The standardisation of features, and the metric of standardised features."""

    centre: Tensor
    spread: Tensor
    metric: Metric

    def of(self, features: Tensor) -> Tensor:
        return (features - self.centre) / self.spread


def _scale(problem: Problem) -> Scale:
    """Mean, standard deviation and covariance of the training features, in one pass with sums in float64."""
    n, d = len(problem.rows("train")), problem.network.backbone.n_features
    total = torch.zeros(d, dtype=torch.float64, device=problem.place.device)
    products, origin = torch.zeros(d, d, dtype=torch.float64, device=problem.place.device), None
    for start in range(0, n, BATCH):
        features = problem.features_at("train", np.arange(start, min(start + BATCH, n)))
        # Relative to the mean of the first batch, the sums of squares stay exact for large means.
        origin = features.mean(0) if origin is None else origin
        features = features - origin
        total += features.double().sum(0)
        products += (features.T @ features).double()
        problem.tell(min(start + BATCH, n), n)
    if origin is None:
        raise RuntimeError("no images were seen")
    shift = total / n
    covariance = products / n - torch.outer(shift, shift)
    spread = floored(covariance.diagonal().clamp(min=0).sqrt())
    metric = Metric(covariance / torch.outer(spread, spread), problem.n_classes)
    return Scale((origin + shift).float(), spread.float(), metric)


def _descended(
    problem: Problem, scale: Scale, starts: dict[float, Tensor | None], splits: tuple[Split, ...]
) -> dict[float, Tensor]:
    """Weights [d + 1, c] by penalty after steps on batches of the splits, from given weights or 0.

    In the metric's coordinates the curvature of a batch is at most about (1 + √(d / b))² times that of all images (the edge
    of Marchenko and Pastur's law). Steps shortened by that factor are stable.
    """
    d, n_classes, device = problem.network.backbone.n_features, problem.n_classes, problem.place.device
    rows = _Rows(problem, scale, splits)
    batch, n_steps = min(BATCH, rows.n), STEPS if len(splits) == 1 else STEPS // 2
    order = Order(rows.n, torch_seed("refit", problem.seed, len(splits)))
    turns = {penalty: scale.metric.transform(penalty) for penalty in starts}
    zeros = torch.zeros(d + 1, n_classes, device=device)
    weights = {penalty: zeros.clone() if start is None else start.clone() for penalty, start in starts.items()}
    for step in range(n_steps):
        features, labels = rows.batch(order.positions(step * batch, (step + 1) * batch))
        rate = (1 - step / n_steps) / (1 + (d / batch) ** 0.5) ** 2
        for penalty, turn in turns.items():
            _, slope = loss_and_gradient(features, labels, weights[penalty])
            slope[:-1] += penalty * weights[penalty][:-1]
            weights[penalty][:-1] -= rate * (turn @ (turn.T @ slope[:-1]))
            weights[penalty][-1] -= rate * n_classes * slope[-1]
        problem.tell((step + 1) * batch, n_steps * batch)
    return weights


class _Rows:
    """The rows of one split, or of training and validation, with consecutive numbers."""

    def __init__(self, problem: Problem, scale: Scale, splits: tuple[Split, ...]) -> None:
        self.problem, self.scale, self.splits = problem, scale, splits
        parts = [problem.train_labels if split == "train" else problem.val_labels for split in splits]
        self.labels, self.ends = torch.cat(parts), np.cumsum([0, *map(len, parts)])
        self.n = len(self.labels)

    def batch(self, at: np.ndarray) -> tuple[Tensor, Tensor]:
        """Standardised features and labels of these rows on the device, in the order of the splits."""
        parts: list[Tensor] = []
        chosen: list[np.ndarray] = []
        for split, first, end in zip(self.splits, self.ends, self.ends[1:], strict=False):
            inside = at[(at >= first) & (at < end)]
            if len(inside):
                parts.append(self.scale.of(self.problem.features_at(split, inside - first)))
                chosen.append(inside)
        labels = self.labels[torch.from_numpy(np.concatenate(chosen))]
        return torch.cat(parts), labels.to(self.problem.place.device)


def _scores(problem: Problem, scale: Scale, weights: Tensor, split: Split) -> Tensor:
    """Scores of a split [m, c] on the CPU, computed in batches."""
    n, parts = len(problem.rows(split)), list[Tensor]()
    for start in range(0, n, BATCH):
        end = min(start + BATCH, n)
        parts.append(scores_of(scale.of(problem.features_at(split, np.arange(start, end))), weights).cpu())
        problem.tell(end, n)
    return torch.cat(parts)
