"""The linear probe: multinomial logistic regression on frozen features, with a penalty chosen on validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.engine.fit import loss_of
from transferlab.transfer.logistic import HANDOVER, End, Rows, descent, floored, logistic, metric_of, scores_of
from transferlab.transfer.problem import Prediction, Problem

# Ridge penalties on standardised features, per example: mean loss + penalty · |W|² / 2.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
MIDDLE = 1e-3
LARGE = 1e8  # rows · features · classes; matrix products dominate larger fits
# Stopping rules. With 3,000 validation images the choice of a penalty does not depend on 1e-4 of the objective or 1e-5 nats
# (CIFAR-100: 10 to 29 evaluations per penalty; digits, which are separable: 84 evaluations in all instead of 428). The final
# fit is 100 times more exact (Omniglot at 1e-5: 143 evaluations; with the share of 1e-6 alone 355, for 0.004 nats of the test
# and 3 of 624 images).
CHOOSING, FINAL = End(1e-4, gain=1e-5), End(1e-6, gain=1e-7)
# After bf16, fp32 only confirms the end within the accuracy of bf16: 1 evaluation instead of 9, which saves 0.7 of 3.9 s on
# CIFAR-100 (15,000 x 1,024, 1 thread) for 0.0003 nats of the test.
LARGE_FINAL = End(HANDOVER, gain=1e-7)
# Of folds, of which there are several and whose results are read together (evaluations of the final fit, FINAL and FOLDED:
# CIFAR-100 46 and 28, Omniglot 130 and 60, clothing 40 and 30; images of a fold that turn right or wrong: 10 of 4,000, 4 of
# 624, 0 of 757).
FOLDED = End(1e-5, gain=1e-6)
BEGUN = End(1e-3, gain=1e-4)  # of the layer that fine-tuning begins with, which the first steps change anyway


def fit_predict(problem: Problem) -> Prediction:
    """Standardise by the training features (see ``floored``), choose the penalty by validation accuracy (then loss), and refit on both.

    Penalties are tried from strong to weak, until validation accuracy and likelihood both fall. Multi-label targets get one
    logistic regression per class over its scored examples, chosen by validation loss.

    Problems with the same training images share the fits to these alone. Such a fit has seen no image that one of them
    predicts, and neither has a final fit that starts from it, however soon it ends.
    """
    end = FOLDED if "folds" in problem.settings else FINAL
    fitted = _fitted(problem, end)
    scores = scores_of((problem.features("test") - fitted.centre) / fitted.spread, fitted.weights)
    found = F.logsigmoid(scores) if problem.multi_label else F.log_softmax(scores, 1)
    return Prediction(found, {"penalty": fitted.penalty})


def last_layer(problem: Problem) -> tuple[nn.Linear | None, float | None]:
    """The probe as a layer on plain features, fitted more roughly, with its penalty; None if the features do not fit in memory."""
    if not (problem.holds("train") and problem.holds("val")):
        return None, None
    weights, centre, spread, penalty = _fitted(problem, BEGUN)
    layer = nn.Linear(len(centre), problem.n_classes, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_((weights[:-1] / spread[:, None]).T)
        layer.bias.copy_(weights[-1] - (centre / spread) @ weights[:-1])
    return layer, penalty


class _Fitted(NamedTuple):
    """Weights [d + 1, c] for features after ``(features - centre) / spread``, and the penalty that was chosen."""

    weights: Tensor
    centre: Tensor
    spread: Tensor
    penalty: float


def _fitted(problem: Problem, end: End) -> _Fitted:
    train, val = problem.features("train"), problem.features("val")
    centre, spread = train.mean(0), floored(train.std(0, correction=0))
    train, val = ((part - centre) / spread for part in (train, val))
    rows = _rows(problem, torch.cat([train, val]))
    path = _path(problem, rows)
    penalty, start = _chosen(path, val, problem.val_labels) if len(val) else (MIDDLE, None)
    if end is FINAL and rows.rough is not None:
        end = LARGE_FINAL
    return _Fitted(logistic(rows, penalty, path.metric, end, start), centre, spread, penalty)


def _rows(problem: Problem, both: Tensor) -> Rows:
    """Standardised features of training and validation images, in this order, with their labels."""
    # In bf16 an evaluation takes 7 ms instead of 18 (12,000 × 256, 100 classes, 1 thread). Small problems gain nothing, and
    # have fewer rows over which rounding errors average out.
    computes_in_bf16 = problem.place.precision == "bf16" and both.device.type == problem.place.device
    rough = both.bfloat16() if computes_in_bf16 and both.numel() * problem.n_classes > LARGE else None
    labels = torch.cat([problem.train_labels, problem.val_labels])
    return Rows(both, labels, problem.n_classes, rough, lambda: problem.tell(0, 1))  # nobody knows how many are to come


def _path(problem: Problem, rows: Rows) -> _Path:
    """The path of a problem's training images, shared by folds that have the same ones."""
    trained, shared = problem.rows("train"), {} if problem.shared is None else problem.shared
    if trained.tobytes() not in shared:
        shared[trained.tobytes()] = _Path(rows, len(trained))
    return shared[trained.tobytes()]


class _Path:
    """Fits of the first ``n_train`` rows at ever weaker penalties, each from the one before, as far as they are asked for.

    The metric is that of all rows. It needs no labels. It changes the way to an optimum, not the optimum; whether a
    penalty is given up on the way may therefore depend on which fold came first.
    """

    def __init__(self, rows: Rows, n_train: int) -> None:
        rough = None if rows.rough is None else rows.rough[:n_train]
        self.train = replace(rows, features=rows.features[:n_train], labels=rows.labels[:n_train], rough=rough)
        self.metric = metric_of(rows.features, rows.n_classes)
        self.penalties = sorted(PENALTIES, reverse=True)
        self._done: list[list[Tensor]] = []
        self._going: list[Iterator[Tensor]] = []

    def weights(self, number: int) -> Iterator[Tensor]:
        """Weights on the way to the optimum at one of the penalties, and there; all of those before were asked for."""
        if number == len(self._done):
            start = self._done[-1][-1] if self._done else None
            self._going.append(descent(self.train, self.penalties[number], self.metric, CHOOSING, start))
            self._done.append([])
        yield from self._done[number]
        for weights in self._going[number]:
            self._done[number].append(weights)
            yield weights


def _chosen(path: _Path, val: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """The best penalty of a path on validation rows, and its weights from the training rows."""
    best: tuple[tuple[float, float], float, Tensor] | None = None
    for number, penalty in enumerate(path.penalties):
        tried = best
        for weights in path.weights(number):
            tried = goodness_of(scores_of(val, weights), labels), penalty, weights
            if best is not None and tried[0][0] < best[0][0] and tried[0][1] < best[0][1]:
                # The weakest penalties take longest: at 1e-3 CIFAR-100 is given up after 5 evaluations of 40.
                return best[1:]
        assert tried is not None, "a path yields weights"
        if best is None or tried[0] > best[0]:
            best = tried
        elif tried[0][0] <= best[0][0] and tried[0][1] < best[0][1]:
            break
    assert best is not None, "there are penalties"
    return best[1:]


def goodness_of(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy (0 for multi-label targets) and negative loss of validation scores, to be compared in this order."""
    accuracy = float((scores.argmax(1) == labels).float().mean()) if labels.ndim == 1 else 0.0
    return accuracy, -float(loss_of(scores, labels, 0.0))
