"""Scores of a target: from class scores and labels to metrics in 0…1 and per-example results; numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Labels = NDArray[np.int32]


def top1(scores: Scores, labels: Labels) -> float:
    """Share of examples whose best-scored class is right; scores [e, c], labels [e]."""
    return float((scores.argmax(1) == labels).mean())


def top5(scores: Scores, labels: Labels) -> float:
    """Share of examples whose class is among the five best-scored (all, where there are fewer).

    Equal scores rank in the order of the classes, as in ``top1``: five neighbours that vote for two classes must not
    make every other class the third.
    """
    return float(_in_five(scores, labels).mean())


def _in_five(scores: Scores, labels: Labels) -> NDArray[np.bool_]:
    own = np.take_along_axis(scores, labels[:, None].astype(np.int64), 1)
    order = np.arange(scores.shape[1], dtype=np.int32)
    ahead = (scores > own) | ((scores == own) & np.less(order, labels[:, None]))
    return ahead.sum(1) < 5


def mean_class_accuracy(scores: Scores, labels: Labels) -> float:
    """Accuracy of each class that occurs, averaged over classes."""
    right = scores.argmax(1) == labels
    return float(np.mean([right[labels == c].mean() for c in np.unique(labels)]))


def negative_log_likelihood(log_probabilities: Scores, labels: Labels) -> float:
    """Mean of -log p(label), natural logarithm."""
    return float(-np.take_along_axis(log_probabilities, labels[:, None].astype(np.int64), 1).mean())


def average_precision(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """Area under precision over recall as a step function; equal scores count as one step. [e] each.

    NaN where nothing is relevant.
    """
    if not relevant.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision = hits[last_of_ties] / (last_of_ties + 1)
    recall_steps = np.diff(hits[last_of_ties], prepend=0) / hits[-1]
    return float((precision * recall_steps).sum())


def mean_average_precision(scores: Scores, labels: NDArray[np.int8]) -> float:
    """Mean over classes of average precision; scores [e, c], labels [e, c] of 1, 0 and -1 (not scored).

    Classes without a relevant example are left out.
    """
    each = [average_precision(scores[labels[:, c] >= 0, c], labels[labels[:, c] >= 0, c] > 0)
            for c in range(labels.shape[1])]  # fmt: skip
    known = [value for value in each if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def all_metrics(scores: Scores, labels: Labels | NDArray[np.int8], *, probabilities: bool) -> dict[str, float]:
    """Every metric that these labels allow, by name.

    Args:
        probabilities: scores are log-probabilities, so that a likelihood can be told.
    """
    if labels.ndim == 2:
        return {"mean average precision": mean_average_precision(scores, labels.astype(np.int8))}
    single = labels.astype(np.int32)
    found = {
        "top1": top1(scores, single),
        "top5": top5(scores, single),
        "mean class accuracy": mean_class_accuracy(scores, single),
    }
    if probabilities:
        found["negative log-likelihood"] = negative_log_likelihood(scores, single)
    return found


def under_labels(
    scores: Scores, labels: Labels, label_of_class: NDArray[np.int32]
) -> tuple[dict[str, float], dict[str, NDArray[np.generic]]]:
    """What scores of classes tell once classes are merged into coarse labels.

    Args:
        scores: [e, c]. labels: [e], the true classes. label_of_class: [c], the coarse label of each class.

    Returns:
        metrics: ``superclass top1`` and ``superclass mean accuracy`` of the best-scored class's coarse label; where a
        label has several classes, ``top1 within the superclass``: the best-scored class among those of the true coarse
        label, over the images of such labels, and ``guessing within the superclass`` for the same images.
        rows, [e] each: ``right in five`` and ``right superclass`` bool, ``right within`` int8 of 1, 0, and -1 for
        images whose coarse label has one class.
    """
    wanted, told = label_of_class[labels], label_of_class[scores.argmax(1)]
    n_classes = np.bincount(label_of_class)
    within = np.full(len(labels), -1, np.int8)
    for label in np.unique(wanted):
        rows, classes = np.flatnonzero(wanted == label), np.flatnonzero(label_of_class == label)
        if len(classes) > 1:
            within[rows] = classes[scores[np.ix_(rows, classes)].argmax(1)] == labels[rows]
    right, merged = told == wanted, within >= 0
    found = {
        "superclass top1": float(right.mean()),
        "superclass mean accuracy": float(np.mean([right[wanted == label].mean() for label in np.unique(wanted)])),
    }
    if merged.any():
        found["top1 within the superclass"] = float(within[merged].mean())
        found["guessing within the superclass"] = float((1 / n_classes[wanted[merged]]).mean())
    return found, {"right in five": _in_five(scores, labels), "right superclass": right, "right within": within}


def per_example(scores: Scores, labels: Labels | NDArray[np.int8]) -> dict[str, NDArray[np.generic]]:
    """What is kept of each test example: whether it was right; for multi-label, its scores and labels."""
    if labels.ndim == 2:
        return {"scores": scores.astype(np.float16), "labels": labels.astype(np.int8)}
    return {"right": scores.argmax(1) == labels}
