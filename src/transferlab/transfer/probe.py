"""The linear probe: multinomial logistic regression on frozen features, with a penalty chosen on validation."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.engine.fit import loss_of
from transferlab.transfer.logistic import HANDOVER, End, Metric, Rows, floored, logistic, metric_of, scores_of
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


def fit_predict(problem: Problem) -> Prediction:
    """Standardise by the training features (see ``floored``), choose the penalty by validation accuracy (then loss), and refit on both.

    Penalties are tried from strong to weak, until validation accuracy and likelihood both fall. Multi-label targets get one
    logistic regression per class over its scored examples, chosen by validation loss.
    """
    train, val, test = (problem.features(split) for split in ("train", "val", "test"))
    centre, spread = train.mean(0), floored(train.std(0, correction=0))
    train, val, test = ((part - centre) / spread for part in (train, val, test))
    both = torch.cat([train, val])
    # In bf16 an evaluation takes 7 ms instead of 18 (12,000 × 256, 100 classes, 1 thread). Small problems gain nothing, and
    # have fewer rows over which rounding errors average out.
    computes_in_bf16 = problem.place.precision == "bf16" and both.device.type == problem.place.device
    rough = both.bfloat16() if computes_in_bf16 and both.numel() * problem.n_classes > LARGE else None
    labels = torch.cat([problem.train_labels, problem.val_labels])
    rows = Rows(both, labels, problem.n_classes, rough, lambda: problem.tell(0, 1))  # nobody knows how many are to come
    metric = metric_of(both, problem.n_classes)
    if len(val):
        penalty, start = _chosen(rows, len(train), metric)
    else:
        penalty, start = MIDDLE, None
    scores = scores_of(test, logistic(rows, penalty, metric, FINAL if rough is None else LARGE_FINAL, start))
    found = F.logsigmoid(scores) if problem.multi_label else F.log_softmax(scores, 1)
    return Prediction(found, {"penalty": penalty})


def _chosen(rows: Rows, n_train: int, metric: Metric) -> tuple[float, Tensor]:
    """The best penalty on the rows after the first ``n_train``, and its weights from those before."""
    rough = None if rows.rough is None else rows.rough[:n_train]
    train = replace(rows, features=rows.features[:n_train], labels=rows.labels[:n_train], rough=rough)
    val, labels = rows.features[n_train:], rows.labels[n_train:]
    best, start = None, None

    def is_hopeless(weights: Tensor) -> bool:
        now = goodness_of(scores_of(val, weights), labels)
        return best is not None and now[0] < best[0][0] and now[1] < best[0][1]

    for penalty in sorted(PENALTIES, reverse=True):  # each starts from the previous weights
        start = logistic(train, penalty, metric, CHOOSING, start, is_hopeless)
        goodness = goodness_of(scores_of(val, start), labels)
        if best is None or goodness > best[0]:
            best = (goodness, penalty, start)
        elif goodness[0] <= best[0][0] and goodness[1] < best[0][1]:
            break  # the weakest penalties take longest: at 1e-3 CIFAR-100 is given up after 5 evaluations of 40
    if best is None:
        raise RuntimeError("no penalty was tried")
    return best[1], best[2]


def goodness_of(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy (0 for multi-label targets) and negative loss of validation scores, to be compared in this order."""
    accuracy = float((scores.argmax(1) == labels).float().mean()) if labels.ndim == 1 else 0.0
    return accuracy, -float(loss_of(scores, labels, 0.0))
